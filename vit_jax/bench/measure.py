"""The bench of a config, as a dictionary that JSON holds."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.bench.phases import time_matrix_product
from vit_jax.config import Config
from vit_jax.config.choices import PHASES
from vit_jax.errors import check
from vit_jax.mesh.devices import find_chip_of_device, find_peak_rate
from vit_jax.mesh.sharding import make_mesh
from vit_jax.training.resolve import resolve_config

PACKAGES = ("jax", "jaxlib", "flax", "optax", "vit_jax", "libtpu", "jax-cuda13-plugin")


def run_bench(
    config: Config,
    *,
    num_classes: int = 1000,
    phases: Sequence[str] = (),
    repeats: int = 10,
    seconds: float = 1.0,
    devices: Sequence[jax.Device] | None = None,
) -> dict[str, Any]:
    """Times the training step and the inference of a config on what is here.

    Args:
      config: of a run; its data are not read.
      num_classes: of the head.
      phases: of `PHASES`; none: all.
      repeats: of which rates are the median and the quartiles.
      seconds: that one repeat takes, about.
      devices: None: all.

    Returns:
      A section for each phase: ``images_per_s`` and its ``quartiles``, ``mfu`` against
      the table's peak (None where the device is not in it) and
      ``share_of_matrix_product`` against a large product measured in the same run,
      ``trace_s``, ``compile_s``, ``compile_from_cache_s``, bytes of one device by the
      compiler and, in training, by the device; and ``matrix_product``, ``config``,
      ``device``, ``list_versions``, ``command``.

    Raises:
      ConfigError: an unknown phase, or as `program.make_program`.

    Example:
      >>> bench(load_config("configs/digits.py"))["train"]["images_per_s"]
    """
    for phase in phases:
        PHASES.check("phase", phase)
    check(repeats > 0, "repeats", "> 0", repeats)
    check(seconds > 0, "seconds", "> 0", seconds)
    config = resolve_config(config)
    mesh = make_mesh(config.mesh, devices)
    product = time_matrix_product(mesh, config.model.dtype, repeats, seconds / 4)
    result: dict[str, Any] = {"config": _describe(config, num_classes)}
    for phase in phases or PHASES:
        time_phase = PHASES.resolve(phase)
        timed = time_phase(config, mesh, num_classes, repeats, seconds)
        rate, flops = timed.pop("rate"), timed["flops_per_image"]
        peak = find_peak_rate(flops, mesh.devices.flat)
        result[phase] = {
            "images_per_s": rate,
            **timed,
            "mfu": rate / peak if peak else None,
            "share_of_matrix_product": rate * flops / product["flops_per_s"],
        }
    result["matrix_product"] = product
    result["device"] = describe_device(mesh)
    result["versions"] = list_versions(PACKAGES)
    result["command"] = shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    return result


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of those that are installed, and of Python."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_device(mesh: Mesh) -> dict[str, Any]:
    """Returns what the mesh consists of."""
    first, chip = mesh.devices.flat[0], find_chip_of_device(mesh.devices.flat)
    return {
        "kind": first.device_kind,
        "platform": first.platform,
        "count": mesh.devices.size,
        "mesh": dict(mesh.shape),
        "chip": chip.name if chip else None,
        "peak_flops": chip.peak_flops if chip else None,
        "host": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }


def _describe(config: Config, num_classes: int) -> dict[str, Any]:
    model = config.model
    return {
        "name": config.name,
        "variant": model.variant,
        "image_size": config.data.image_size,
        "num_classes": num_classes,
        "dtype": model.dtype,
        "scan": model.scan,
        "remat": model.remat,
        "attention": model.attention,
        "micro_batches": config.train.accum_steps,
        "optimizer": config.optim.name,
    }
