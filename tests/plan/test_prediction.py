"""Seconds of a step, by hand."""

import dataclasses

import pytest

from tests.runs import TINY, change
from vit_jax.config import MeshConfig
from vit_jax.mesh.devices import find_chip
from vit_jax.mesh.sharding import make_mesh
from vit_jax.plan.prediction import count_sent, estimate_step
from vit_jax.plan.summary import Collective, Summary
from vit_jax.plan.topology import name_devices
from vit_jax.training.memory import CountedMemory
from vit_jax.training.resolve import resolve_config

MEMORY = CountedMemory(
    parameters=1000, moments=2000, gradients=1000, activations=4000, batch=100
)


def setting(chip="v5e", count=8, mesh=None, **sections):
    """Returns config, mesh and chip."""
    mesh = mesh or MeshConfig()
    config = resolve_config(dataclasses.replace(change(TINY, **sections), mesh=mesh))
    found = find_chip(chip)
    assert found is not None
    return config, make_mesh(mesh, name_devices(chip, count)), found


def test_compiled_steps_take_their_cycles_and_their_collectives():
    config, mesh, chip = setting()
    sent = Collective("all-reduce", 1, 0, int(0.5 * 200e9))  # half a second of 4 links
    summary = Summary(int(1.5e9), (sent,), 0)  # a second at 1.5 GHz
    flops = int(0.25 * 197e12) * 8 // 32  # a quarter of a second of products
    p = estimate_step(config, mesh, chip, flops, MEMORY, summary)
    assert p.compiler == pytest.approx(1.0)
    assert p.links == pytest.approx(0.5)
    assert p.matrix == pytest.approx(0.25)
    assert p.roofline == pytest.approx(0.5)
    assert p.step == pytest.approx((1.0, 1.5))
    assert p.images_per_s == pytest.approx((32 / 1.5, 32 / 1.0))
    assert p.mfu == pytest.approx((0.25 / 1.5, 0.25))


def test_memory_traffic_reads_and_writes_everything_once():
    config, mesh, chip = setting(train={"accum_steps": 2})
    p = estimate_step(config, mesh, chip, 1, MEMORY, Summary(None, (), 0))
    traffic = 2 * (4000 + 2 * 4000)
    assert p.memory == pytest.approx(traffic / 819e9)
    assert p.intensity == pytest.approx(32 / 8 / traffic)
    assert p.compiler is None
    assert p.step == (p.roofline, p.roofline)


def test_counted_collectives():
    # Rings: gradients twice (n - 1)/n; ZeRO-3 three times (n - 1) of a shard.
    config, mesh, _ = setting()
    assert count_sent(config, mesh, MEMORY) == 2 * 1000 * 7 / 8
    config, mesh, _ = setting(mesh=MeshConfig(1, 8, 1))
    assert count_sent(config, mesh, MEMORY) == 3 * 7 * 1000
    config, mesh, _ = setting(mesh=MeshConfig(1, 8, 1), train={"accum_steps": 2})
    assert count_sent(config, mesh, MEMORY) == 5 * 7 * 1000
    # 2 layers, 4 sums each, of 32 images, 5 tokens, 16 wide, float32, halved over 2.
    config, mesh, _ = setting(mesh=MeshConfig(1, 1, 2), count=2)
    stream = 32 * 5 * 16 * 4
    assert count_sent(config, mesh, MEMORY) == 2 * 4 * 2 * stream / 2
