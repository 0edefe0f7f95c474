"""Counts from compiled text: loops, groups and types, by hand and by XLA itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax.plan.summary import Collective, count_type_bytes, summarise_program

TEXT = """
HloModule step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

%gather (p: bf16[8,16]) -> bf16[32,16] {
  %p = bf16[8,16]{1,0} parameter(0)
  ROOT %g = bf16[32,16]{1,0} all-gather(%p), replica_groups=[2,4]<=[8], dimensions={0}
}

%body (t: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %t = (s32[], f32[4,8]{1,0:T(8,128)}) parameter(0)
  %f = f32[4,8]{1,0} fusion(%t), calls=%x, backend_config={"window_config":{"estimated_cycles":"100"}}
  %start = ((bf16[8,16]), bf16[32,16], u32[]) async-start(%f), calls=%gather
  %done = bf16[32,16] async-done(%start), calls=%gather
  ROOT %r = (s32[], f32[4,8]) tuple(%f, %done)
}

%cond (t: (s32[], f32[4,8])) -> pred[] {
  ROOT %c = pred[] constant(true), backend_config={"estimated_cycles":"1"}
}

ENTRY %main (x: f32[4,8]) -> f32[4,8] {
  %x = f32[4,8]{1,0} parameter(0)
  %w = (s32[], f32[4,8]) while(%x), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"12"}}
  %r = (f32[4,8]{1,0}, /*index=1*/f32[2]{0:T(128)S(1)}) all-reduce(%w, %w), replica_groups={{0,1},{2,3}}, to_apply=%add
  %ag = (f32[4,8], f32[8,8]) all-gather-start(%x), replica_groups={{0,1},{2,3}}, dimensions={0}
  %agd = f32[8,8] all-gather-done(%ag)
  %rs = f32[2,8]{1,0} reduce-scatter(%x), replica_groups={{0,1}}, to_apply=%add
  %k = f32[4,8] custom-call(%x), custom_call_target="tpu_custom_call"
  ROOT %e = f32[4,8]{1,0} fusion(%x), calls=%y, backend_config={"estimated_cycles":"7"}
}
"""


# What the TPU compiler prints: no trip count, and one exchange in two fusions.
TPU_TEXT = """
%inner_body (t: (s32[], u32[])) -> (s32[], u32[]) {
  %t = (s32[], u32[]) parameter(0)
  ROOT %f = (s32[], u32[]) fusion(%t), calls=%x, backend_config={"estimated_cycles":"3"}
}

%inner_cond (t: (s32[], u32[])) -> pred[] {
  %four = u32[]{:T(128)} constant(4)
  %t = (s32[], u32[]) parameter(0)
  %i = u32[]{:T(128)} get-tuple-element(%t), index=1
  ROOT %lt = pred[] compare(%i, %four), direction=LT
}

%part.1 (p: bf16[8]) -> bf16[64] {
  ROOT %g.1 = bf16[64] all-gather(%p), channel_id=5, replica_groups=mesh['a'=1,'b'=8] {'b'}
}

%part.2 (p: bf16[8]) -> bf16[64] {
  ROOT %g.2 = bf16[64] all-gather(%p), channel_id=5, replica_groups=mesh['a'=1,'b'=8] {'b'}
}

%body (t: (s32[], f32[4])) -> (s32[], f32[4]) {
  %t = (s32[], f32[4]) parameter(0)
  %one = u32[] constant(1)
  %zero = s32[] constant(0)
  %s = (s32[], /*index=1*/u32[]) tuple(%zero, /*index=1*/%one)
  %w = (s32[], u32[]) while(%s), condition=%inner_cond, body=%inner_body
  %a = bf16[64] fusion(%t), kind=kCustom, calls=%part.1
  ROOT %b = bf16[64] fusion(%a), kind=kCustom, calls=%part.2
}

%cond (t: (s32[], f32[4])) -> pred[] {
  %n = s32[]{:T(128)} constant(12)
  %t = (s32[], f32[4]) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%t), index=0
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}

%odd (t: (s32[], f32[4])) -> pred[] {
  ROOT %p = pred[] parameter(0)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4] parameter(0)
  %w = (s32[], f32[4]) while(%x), condition=%cond, body=%body
  %v = (s32[], f32[4]) while(%x), condition=%odd, body=%inner_body
  ROOT %p = f32[4] collective-permute(%x), channel_id=6, source_target_pairs={{0,1},{1,0}}
}
"""


def test_trips_are_read_from_what_a_loop_compares():
    summary = summarise_program(TPU_TEXT)
    # 12 outer trips of an inner loop from 1 to 4; once the loop that does not say.
    assert summary.cycles == 12 * 3 * 3 + 3
    assert summary.unknown_loops == 1


def test_an_exchange_in_two_places_counts_once():
    assert summarise_program(TPU_TEXT).collectives == (
        Collective("all-gather", 12, 12 * 128, 12 * 112),
        Collective("collective-permute", 1, 16, 16),
    )


def test_a_loops_body_counts_as_often_as_it_runs():
    summary = summarise_program(TEXT)
    assert summary.cycles == 12 * 101 + 7
    assert summary.custom_calls == 1
    assert summary.collectives == (
        # (4 * 8 + 2) floats; each device sends its half twice.
        Collective("all-reduce", 1, 136, 136),
        # 12 times 32 * 16 bfloat16, three quarters of it to others; once 8 * 8 floats.
        Collective("all-gather", 13, 12 * 1024 + 256, 12 * 768 + 128),
        Collective("reduce-scatter", 1, 64, 64),
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("f32[4,8]{1,0:T(8,128)S(1)}", 128),
        ("bf16[]", 2),
        ("(f32[2]{0}, /*index=1*/s32[3]{0}, u8[5])", 25),
        ("token[]", 0),
    ],
)
def test_bytes_of_a_type(text, size):
    assert count_type_bytes(text) == size


def test_what_xla_compiles_is_read():
    mesh = Mesh(np.array(jax.devices()[:4]), ("x",))
    rows = NamedSharding(mesh, PartitionSpec("x"))
    whole = NamedSharding(mesh, PartitionSpec())

    def step(x):
        def layer(x, _):
            total = x.sum(axis=0, keepdims=True)
            total = jax.lax.with_sharding_constraint(total, whole)
            return x * total, None

        return jax.lax.scan(layer, x, length=5)[0]

    x = jax.ShapeDtypeStruct((8, 16), jnp.float32, sharding=rows)
    summary = summarise_program(jax.jit(step).lower(x).compile().as_text() or "")
    assert summary.cycles is None
    assert summary.collectives == (
        Collective("all-reduce", 5, 5 * 64, 5 * 2 * 64 * 3 // 4),
    )
