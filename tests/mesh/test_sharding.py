"""Meshes, and which part of an array lies where."""

import types
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from tests.runs import TINY, change, program_on
from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import find_logical_axes, make_partition_spec
from vit_jax.mesh.constraints import bind_mesh, constrain
from vit_jax.mesh.sharding import (
    check_batch_size,
    make_mesh,
    offload_to_host,
    replicate_sharding,
    shard_batch,
)


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [((-1, 1, 1), (8, 1, 1)), ((2, -1, 2), (2, 2, 2)), ((1, 4, 2), (1, 4, 2))],
)
def test_mesh_takes_the_devices_left(sizes, shape):
    assert tuple(make_mesh(MeshConfig(*sizes)).shape.values()) == shape


@pytest.mark.parametrize(
    "sizes", [(3, 1, 1), (-1, -1, 1), (-1, 3, 1), (0, -1, 1), (4, 1, 1)]
)
def test_mesh_sizes_that_do_not_fit(sizes):
    with pytest.raises(ConfigError, match="product is 8, the number of devices"):
        make_mesh(MeshConfig(*sizes))


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (MeshConfig(), (8, 1, 1)),
        (MeshConfig(preset="fsdp"), (1, 8, 1)),
        (MeshConfig(preset="fsdp_tp"), (1, 4, 2)),
        (MeshConfig(preset="fsdp_tp", tensor=4), (1, 2, 4)),
        (MeshConfig(preset="fsdp", data=2), (2, 4, 1)),
    ],
)
def test_sizes_win_over_the_preset(config, shape):
    assert tuple(make_mesh(config).shape.values()) == shape


def test_unknown_preset():
    with pytest.raises(ConfigError, match=r'preset must be one of dp, .*got "fdsp"'):
        MeshConfig(preset="fdsp")


def test_batch_must_divide():
    mesh = make_mesh(MeshConfig())
    check_batch_size(16, mesh, "batch")
    with pytest.raises(ConfigError, match=r"multiple of 8, .* got 12; try 16"):
        check_batch_size(12, mesh, "batch")


def test_spec_cuts_what_divides_and_uses_no_mesh_axis_twice():
    mesh = make_mesh(MeshConfig(data=1, fsdp=2, tensor=4))
    assert make_partition_spec(("embed", "mlp"), (6, 8), mesh) == P(
        ("fsdp",), ("tensor",)
    )
    assert make_partition_spec(("embed", "classes"), (6, 10), mesh) == P(
        ("fsdp",), None
    )
    assert make_partition_spec(("embed", "embed"), (6, 6), mesh) == P(("fsdp",), None)


def test_fsdp_cuts_what_is_left_along_its_longest_part():
    mesh = make_mesh(MeshConfig(data=1, fsdp=2, tensor=4))
    # A bias of the MLP; a width that 2 does not divide; a convolution; l layers.
    assert make_partition_spec(("mlp",), (8,), mesh) == P(("tensor", "fsdp"))
    assert make_partition_spec(("embed", "mlp"), (5, 8), mesh) == P(
        None, ("tensor", "fsdp")
    )
    sizes = (3, 3, 64, 128)
    spec = make_partition_spec((None, None, None, "channels"), sizes, mesh)
    assert spec == P(None, None, None, ("fsdp",))
    assert make_partition_spec(("layers", "head_dim"), (12, 3), mesh) == P(None, None)
    assert make_partition_spec((None, "tokens"), (1, 5), mesh) == P(None, None)


def test_the_residual_stream_is_cut_over_the_batch_and_tokens_that_divide():
    mesh = make_mesh(MeshConfig(preset="fsdp_tp"))
    names = ("batch", "tokens", "embed")
    function = jax.jit(bind_mesh(lambda x: constrain(x * 2, names), mesh))
    for tokens, spec in ((4, P("fsdp", "tensor")), (5, P("fsdp"))):
        x = np.ones((8, tokens, 16), np.float32)
        assert function(x).sharding.spec == spec  # data has one device
    assert constrain(x, names) is x  # no mesh, no meaning


def test_offload_needs_host_memory(monkeypatch):
    mesh = make_mesh(MeshConfig())
    device = types.SimpleNamespace(
        platform="abacus",
        addressable_memories=lambda: [types.SimpleNamespace(kind="x")],
    )
    fake: Any = types.SimpleNamespace(local_devices=[device])
    with pytest.raises(ConfigError, match=r"offload must be False on abacus, .*fsdp"):
        offload_to_host({}, fake)
    abstract = {
        "a": jax.ShapeDtypeStruct((8,), "float32", sharding=replicate_sharding(mesh))
    }
    assert offload_to_host(abstract, mesh)["a"].sharding.memory_kind == "pinned_host"


def test_axes_match_whole_components_and_check_the_rank():
    axes = (("head/kernel", ("embed", "classes")), ("kernel", (None,)))
    assert find_logical_axes("0/trace/head/kernel", 2, axes) == ("embed", "classes")
    assert find_logical_axes("overhead/kernel", 1, axes) == (None,)
    with pytest.raises(AssertionError, match="no entry of AXES covers"):
        find_logical_axes("head/bias", 1, axes)
    with pytest.raises(AssertionError, match="rank"):
        find_logical_axes("head/kernel", 3, axes)


def test_fsdp_state_is_spread_and_trains_alike():
    config = change(TINY, mesh={"data": 2, "fsdp": 2, "tensor": 2})
    program, mesh = program_on(config, 8, num_classes=10)
    state = program.init()
    kernel = state.params["Transformer"]["encoderblock_0"]["MlpBlock_0"]["Dense_0"][
        "kernel"
    ]
    assert kernel.sharding.spec == P(("fsdp",), ("tensor",))
    assert kernel.addressable_shards[0].data.shape == (8, 16)
    batch = {
        "image": np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8),
        "label": np.arange(32, dtype=np.int32) % 10,
    }
    plain, one = program_on(TINY, 1, num_classes=10)
    other = plain.init()
    for _ in range(3):
        state, metrics = program.train_step(state, shard_batch(batch, mesh))
        other, expected = plain.train_step(other, shard_batch(batch, one))
        # Only the order of sums differs.
        np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=2e-5)


def test_moments_lie_where_their_parameters_do():
    program, _ = program_on(change(TINY, mesh={"fsdp": 8, "data": 1}), 8, 10)
    leaves = jax.tree.leaves(program.abstract_state.opt_state)
    spread = [leaf for leaf in leaves if leaf.sharding.spec != P()]
    cut = [any(s.sharding.spec) for s in jax.tree.leaves(program.abstract_state.params)]
    assert sum(any(leaf.sharding.spec) for leaf in spread) == sum(cut) > 10
