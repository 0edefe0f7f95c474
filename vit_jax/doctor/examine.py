"""What this machine has, what it lacks, and whether the program computes right on it."""

import dataclasses
import importlib.util
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

# extra -> (module that shows that it is there, what it is for)
EXTRAS = {
    "plots": ("matplotlib", "figures, reports"),
    "parquet": ("pyarrow", "Parquet data and features"),
    "remote": ("gcsfs", "runs and data in buckets, data on the web"),
    "jpeg": ("turbojpeg", "training on JPEG files for less CPU time"),
    "tfds": ("tensorflow", "preparing most TFDS datasets"),
    "torch": ("torch", "reading .bin and .pth files"),
    "completion": ("shtab", "shell completion"),
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
      name: of the thing.
      status: ``ok``; ``note``: could be better; ``bad``: does not work.
      detail: what was found.
      mend: the command that helps, or "".
    """

    name: str
    status: str
    detail: str
    mend: str = ""


def examine() -> list[Check]:
    """Looks at this machine and computes a little on it; some ten seconds.

    An error of the machine is a result here: nothing is raised.
    """
    checks = [_python(), *_packages(), _devices(), _extras(), _cache()]
    try:
        from vit_jax.doctor.self_test import TESTS
    except ImportError as error:
        return [*checks, Check("imports", "bad", str(error), _REINSTALL)]
    return [*checks, *(_timed(name, test) for name, test in TESTS.items())]


def _python() -> Check:
    detail = f"{platform.python_version()}, {platform.platform()}"
    return Check("Python", "ok", detail)


def _packages() -> Iterator[Check]:
    """Yields the versions, and each requirement that is not met."""
    shown = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    found = {name: _version(name) for name in shown}
    text = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield Check("packages", "ok", text)
    for name, least in _requirements().items():
        version = _version(name)
        if version is None or _numbers(version) < _numbers(least):
            detail = f"must be {least} or newer, got {version or 'none'}"
            yield Check(name, "bad", detail, f'pip install -U "{name}>={least}"')


def _requirements() -> dict[str, str]:
    """Returns the least version of what vit_jax cannot do without."""
    try:
        lines = metadata.requires("vit_jax") or []
    except metadata.PackageNotFoundError:  # run from a clone
        return {}
    plain = [line for line in lines if ";" not in line]
    found = [re.match(r"([\w.-]+)>=([\d.]+)$", line.strip()) for line in plain]
    return {match[1]: match[2] for match in found if match}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _devices() -> Check:
    try:
        import jax

        devices = jax.devices()
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        return Check("devices", "bad", reason, "unset JAX_PLATFORMS")
    from vit_jax.mesh.devices import find_chip_of_device

    chip = find_chip_of_device(devices)
    first = devices[0]
    detail = f"{len(devices)} x {first.device_kind}"
    detail += f" ({chip.name}, {chip.peak_flops / 1e12:.0f} TFLOP/s)" if chip else ""
    if first.platform != "cpu" or os.environ.get("JAX_PLATFORMS") == "cpu":
        return Check("devices", "ok", detail)
    for what, (is_here, extra) in _ACCELERATORS.items():
        if is_here():
            detail += f", but there is {what} that JAX does not see"
            return Check("devices", "bad", detail, f'pip install -U "vit_jax[{extra}]"')
    return Check("devices", "ok", detail)


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() and bool(
        shutil.which("nvidia-smi")
    )


# PCI ids of Google's chips, v3 to 7x, which JAX looks for as well; its network cards have
# the same vendor. Devices in /dev are called otherwise from one generation to the next.
_GOOGLE = "0x1ae0"
_TPUS = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")


def _has_tpu(buses: Path = Path("/sys/bus/pci/devices")) -> bool:
    return "TPU_ACCELERATOR_TYPE" in os.environ or any(
        vendor.read_text().strip() == _GOOGLE
        and (vendor.parent / "device").read_text().strip() in _TPUS
        for vendor in buses.glob("*/vendor")
    )


_ACCELERATORS = {
    "an NVIDIA GPU": (_has_gpu, "cuda"),
    "a TPU": (_has_tpu, "tpu"),
}


def _extras() -> Check:
    found = {name: importlib.util.find_spec(row[0]) for name, row in EXTRAS.items()}
    missing = [name for name, spec in found.items() if spec is None]
    if not missing:
        return Check("extras", "ok", "all there")
    text = "; ".join(f"{name} (for {EXTRAS[name][1]})" for name in missing)
    mend = f'pip install "vit_jax[{",".join(missing)}]"'
    return Check("extras", "note", f"not installed: {text}", mend)


def _cache() -> Check:
    from vit_jax.storage.cache import find_cache_folder
    from vit_jax.weights.settings import is_offline

    folder = find_cache_folder()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        return Check(
            "weights", "bad", f"{folder} cannot be written to", "set VIT_JAX_CACHE"
        )
    detail = f"{folder}, {free:.0f} GB free"
    detail += ", offline (VIT_JAX_OFFLINE)" if is_offline() else ""
    return Check("weights", "ok" if free > 1 else "note", detail)


def _timed(name: str, test: Callable[[], str]) -> Check:
    started = time.perf_counter()
    try:
        detail = test()
    except Exception as error:  # noqa: BLE001, whatever is wrong with the machine
        text = (str(error).splitlines() or [""])[0]
        return Check(name, "bad", f"{type(error).__name__}: {text}", _REINSTALL)
    return Check(name, "ok", f"{detail}, {time.perf_counter() - started:.1f} s")


_REINSTALL = "pip install -U --force-reinstall jax jaxlib flax orbax-checkpoint"


def checks_to_json(checks: list[Check]) -> dict[str, Any]:
    """Returns what `examine` found, as JSON holds it."""
    rows = [dataclasses.asdict(check) for check in checks]
    return {"ok": all(check.status != "bad" for check in checks), "checks": rows}


_COLOURS = {"ok": 32, "note": 33, "bad": 31}


def describe_checks(checks: list[Check], colour: bool = False) -> list[str]:
    """Returns a line for each check, and under it the command that mends it.

    Args:
      checks: of `examine`.
      colour: whether a terminal reads this; ``NO_COLOR`` says no.
    """
    colour = colour and not os.environ.get("NO_COLOR")
    lines = []
    for check in checks:
        status = f"{check.status:<4}"
        if colour:
            status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m"
        lines.append(f"{status}  {check.name:<8}  {check.detail}")
        if check.mend:
            lines.append(f"      run: {check.mend}")
    bad = sum(check.status == "bad" for check in checks)
    verdict = "everything works" if not bad else f"{bad} to be mended"
    return [*lines, verdict]
