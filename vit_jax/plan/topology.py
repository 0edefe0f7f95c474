"""Devices that are not present: a TPU slice by its topology, other chips by name."""

import dataclasses
import math
import os
import re
from collections.abc import Sequence
from typing import Any, cast

import jax

from vit_jax.errors import ConfigError
from vit_jax.mesh.devices import CHIPS, find_chip

# Chips of one host along each axis, as Cloud TPU wires them; a smaller slice has fewer.
_HOST_BOUNDS = (2, 2, 1)
_TPUS = ("v4", "v5e", "v5p", "v6e")


@dataclasses.dataclass(frozen=True)
class NamedDevice:
    """A placeholder in a mesh, for a device that nothing is compiled for."""

    id: int
    device_kind: str
    platform: str = "gpu"
    process_index: int = 0


def describe_tpu(topology: str) -> Sequence[jax.Device]:
    """Returns the devices of a slice such as ``v5e:2x4``: for compiling, not running.

    The compiler is in libtpu and needs no TPU. A v4 chip is one device of two cores, as
    on Cloud TPU.

    Raises:
      ConfigError: the topology does not exist, or libtpu is not installed.
    """
    match = re.fullmatch(r"(\w+):(\d+(?:x\d+){1,2})", topology)
    if not match or match[1] not in _TPUS:
        raise ConfigError(
            f"topology must be one of {', '.join(_TPUS)} and the shape of a slice, such "
            f'as v5e:4x4 or v5p:4x4x4, got "{topology}"'
        )
    # Read by libtpu: query no metadata server, and let other processes compile too.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    sides = [int(side) for side in match[2].split("x")]
    bounds = [min(s, b) for s, b in zip([*sides, 1], _HOST_BOUNDS, strict=False)]
    options: dict[str, Any] = {"chips_per_host_bounds": tuple(bounds)}
    if match[1] == "v4":
        options["chip_config_name"] = "megacore"
    try:
        described = topologies.get_topology_desc(
            topology_name=topology, platform="tpu", **options
        )
    except Exception as error:
        missing = "not installed" in str(error) or "libtpu.so" in str(error)
        hint = (
            'install the TPU compiler with pip install "vit_jax[tpu]"'
            if missing
            else "use the shape of a slice that exists, such as 2x4 or 4x4x4"
        )
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"topology must be one that libtpu knows, got {topology} ({reason}); {hint}"
        ) from error
    devices = described.devices
    assert len(devices) == math.prod(sides), "one device per chip"
    return devices


def name_devices(chip: str, count: int) -> Sequence[jax.Device]:
    """Returns placeholders for ``count`` chips of the table; nothing compiles for them.

    Raises:
      ConfigError: the chip is not in the table.
    """
    found = find_chip(chip)
    if found is None:
        names = ", ".join(c.name for c in CHIPS)
        raise ConfigError(f'chip must be one of {names}, got "{chip}"')
    kind = found.kinds[0]
    return [cast(jax.Device, NamedDevice(i, kind)) for i in range(count)]
