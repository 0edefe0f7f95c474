"""The table of chips: looked up by what JAX calls them, and consistent in itself."""

import types

import jax
import pytest

from vit_jax.mesh.devices import CHIPS, find_chip, find_chip_of_device, find_peak_rate


def devices(*kinds):
    return [types.SimpleNamespace(device_kind=kind) for kind in kinds]


def test_a_kind_has_one_chip():
    kinds = [kind for chip in CHIPS for kind in chip.kinds]
    assert len(kinds) == len(set(kinds))
    for chip in CHIPS:
        assert find_chip(chip.name.upper()) is chip
        for kind in chip.kinds:
            assert find_chip(kind) is chip


@pytest.mark.parametrize(
    ("kind", "name", "peak"),
    [
        ("TPU v5 lite", "v5e", 197e12),
        ("TPU v6 lite", "v6e", 918e12),
        ("NVIDIA H100 80GB HBM3", "H100", 989e12),
        ("NVIDIA H100 PCIe", "H100-PCIe", 756e12),
    ],
)
def test_kinds_that_jax_reports(kind, name, peak):
    chip = find_chip(kind)
    assert chip is not None
    assert (chip.name, chip.peak_flops) == (name, peak)


def test_part_of_a_chip_is_not_a_chip():
    assert find_chip("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None


def test_different_chips_have_no_common_peak():
    assert find_chip_of_device(devices("NVIDIA L4", "Tesla T4")) is None
    assert find_chip_of_device(jax.devices("cpu")) is None


@pytest.mark.parametrize(
    ("name", "units", "side"), [("v4", 8, 128), ("v5e", 4, 128), ("v5p", 8, 128)]
)
def test_peak_is_what_the_matrix_units_do_per_cycle(name, units, side):
    chip = find_chip(name)
    assert chip is not None
    assert chip.clock is not None
    per_cycle = units * side * side * 2
    assert chip.clock * per_cycle == pytest.approx(chip.peak_flops, rel=0.002)


def test_peak_rate_is_a_utilisation_of_one():
    # 4 chips of 197 TFLOP/s, 1 TFLOP an image.
    assert find_peak_rate(1e12, devices(*["TPU v5e"] * 4)) == pytest.approx(4 * 197)
    assert find_peak_rate(1e12, jax.devices("cpu")) is None
