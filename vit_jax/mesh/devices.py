"""Peak rates, memory and bandwidth of each chip, with their sources.

Rates are for dense products (NVIDIA's data sheets print twice that, "with sparsity")
in bfloat16, or in float16 on chips without bfloat16 units (V100, T4). They are upper
bounds: a large matrix product reaches 60 to 95% of them (`bench` measures it).

Sources:
  Google: docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}, read in 2026. Memory is what
    libtpu 0.0.42 grants a program, which is less than the printed size. The clock is
    the printed peak divided by what the matrix units do in one cycle.
  NVIDIA: the data sheet of each product, nvidia.com/en-us/data-center. NVLink joins
    PCIe cards in pairs at most, so a mesh of them exchanges over PCIe; the H100 NVL is
    sold as such a pair.
"""

import dataclasses
from collections.abc import Iterable

import jax

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One device as JAX counts them.

    Attributes:
      name: the usual short name.
      kinds: values of ``jax.Device.device_kind``.
      peak_flops: per second; a multiply-add counts as two.
      memory: bytes.
      memory_bandwidth: bytes per second.
      link_bandwidth: bytes per second that leave the chip over all its links (ICI,
        NVLink, else PCIe); as many can arrive at the same time.
      clock: cycles per second; None where no compiler estimates cycles.
    """

    name: str
    kinds: tuple[str, ...]
    peak_flops: float
    memory: float
    memory_bandwidth: float
    link_bandwidth: float
    clock: float | None = None


CHIPS = (
    # Two cores of 4 units of 128 x 128 at 1.05 GHz, seen as one device ("megacore");
    # 6 links of 50 GB/s (Jouppi et al. 2023, arXiv:2304.01433, table 4).
    Chip("v4", ("TPU v4",), 275e12, 30.75 * GIB, 1.2e12, 300e9, 1.05e9),
    # One core of 4 units of 128 x 128 at 1.5 GHz; 4 links, 400 GB/s in and out.
    Chip("v5e", ("TPU v5 lite", "TPU v5e"), 197e12, 15.75 * GIB, 819e9, 200e9, 1.5e9),
    # Two cores as v5e's at 1.75 GHz; 6 links, 4,800 Gbit/s.
    Chip("v5p", ("TPU v5", "TPU v5p"), 459e12, 95.74 * GIB, 2765e9, 600e9, 1.75e9),
    # One core of 4 units' worth of 256 x 256 at 1.75 GHz; 4 links, 800 GB/s in and out.
    Chip("v6e", ("TPU v6 lite", "TPU v6e"), 918e12, 31.25 * GIB, 1638e9, 400e9, 1.75e9),
    # In HGX: 8 of 2.25 PFLOP/s dense, 180 GB; 7680 bits at 3996 MHz by its driver
    # (github.com/pytorch/ao/pull/4002), although announcements said 8 TB/s.
    Chip("B200", ("NVIDIA B200",), 2250e12, 180e9, 7.7e12, 900e9),
    Chip("H200", ("NVIDIA H200",), 989e12, 141e9, 4.8e12, 450e9),
    Chip("H100", ("NVIDIA H100 80GB HBM3",), 989e12, 80e9, 3.35e12, 450e9),
    Chip("H100-PCIe", ("NVIDIA H100 PCIe",), 756e12, 80e9, 2.0e12, 64e9),
    Chip("H100-NVL", ("NVIDIA H100 NVL",), 835e12, 94e9, 3.9e12, 300e9),
    Chip("A100-80GB", ("NVIDIA A100-SXM4-80GB",), 312e12, 80e9, 2.039e12, 300e9),
    Chip("A100-80GB-PCIe", ("NVIDIA A100 80GB PCIe",), 312e12, 80e9, 1.935e12, 32e9),
    Chip("A100", ("NVIDIA A100-SXM4-40GB",), 312e12, 40e9, 1.555e12, 300e9),
    Chip("A100-PCIe", ("NVIDIA A100-PCIE-40GB",), 312e12, 40e9, 1.555e12, 32e9),
    Chip("L40S", ("NVIDIA L40S",), 362e12, 48e9, 864e9, 32e9),
    Chip("L4", ("NVIDIA L4",), 121e12, 24e9, 300e9, 32e9),
    Chip("A10", ("NVIDIA A10",), 125e12, 24e9, 600e9, 32e9),
    Chip("T4", ("Tesla T4", "NVIDIA T4"), 65e12, 16e9, 320e9, 16e9),
    Chip(
        "V100",
        ("Tesla V100-SXM2-16GB", "NVIDIA V100-SXM2-16GB"),
        125e12,
        16e9,
        900e9,
        150e9,
    ),
    Chip(
        "V100-32GB",
        ("Tesla V100-SXM2-32GB", "Tesla V100-SXM3-32GB"),
        125e12,
        32e9,
        900e9,
        150e9,
    ),
)


def find_chip(name: str) -> Chip | None:
    """Returns the chip with this ``device_kind`` or name; None if it is not in `CHIPS`.

    A slice of a chip (MIG) has its own kind, so it is unknown rather than a whole chip.
    """
    for chip in CHIPS:
        if name in chip.kinds or name.lower() == chip.name.lower():
            return chip
    return None


def find_chip_of_device(devices: Iterable[jax.Device]) -> Chip | None:
    """Returns the chip of all devices; None if it is unknown or they differ."""
    kinds = {device.device_kind for device in devices}
    return find_chip(kinds.pop()) if len(kinds) == 1 else None


def find_peak_rate(flops: float, devices: Iterable[jax.Device]) -> float | None:
    """Returns the images/s at which the devices reach their peak; None if unknown.

    A measured rate divided by it is the MFU (Chowdhery et al. 2022, PaLM,
    arXiv:2204.02311, appendix B): rematerialized computation does not count.

    Args:
      flops: of one image, as `flops.count_training_flops` counts them.
      devices: all of the mesh.
    """
    devices = list(devices)
    chip = find_chip_of_device(devices)
    return None if chip is None else len(devices) * chip.peak_flops / flops
