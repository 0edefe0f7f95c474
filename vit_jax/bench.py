"""How fast a config trains and infers on what is here, and how near to its limits.

The batch is random and lies on the devices, so the input pipeline is not measured
(`benchmarks/input.py` does that). A repeat is a number of calls with one wait at its
end; rates are the median and quartiles of the repeats.
"""

import contextlib
import dataclasses
import functools
import math
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax.config import Config
from vit_jax.data import augment
from vit_jax.devices import chip_of, peak_rate
from vit_jax.durations import resolve_steps
from vit_jax.flops import inference_flops, training_flops
from vit_jax.program import Program, make_program, resolve
from vit_jax.sharding import batch_sharding, make_mesh, shardings_of, to_mesh
from vit_jax.step import apply_model

PACKAGES = ("jax", "jaxlib", "flax", "optax", "vit_jax", "libtpu", "jax-cuda13-plugin")


def bench(
    config: Config,
    *,
    num_classes: int = 1000,
    phases: Sequence[str] = ("train", "inference"),
    repeats: int = 10,
    seconds: float = 1.0,
    devices: Sequence[jax.Device] | None = None,
) -> dict[str, Any]:
    """Measures the training step and the inference of a config.

    Args:
      config: of a run; its data are not read.
      num_classes: of the head.
      phases: ``train``, ``inference``, or both.
      repeats: of which rates are the median and the quartiles.
      seconds: that one repeat takes, about.
      devices: None: all.

    Returns:
      What JSON holds: a section for each phase, the matrix product, the device, the
      versions and the command. Sizes are in bytes, times in seconds.

    Raises:
      ConfigError: as `program.make_program`.

    Example:
      >>> bench(load_config("configs/digits.py"))["train"]["images_per_s"]
    """
    config = resolve(config)
    mesh = make_mesh(config.mesh, devices)
    model, size = config.model, config.data.image_size
    product = matrix_product(mesh, model.dtype, repeats, seconds / 4)
    result: dict[str, Any] = {"config": _describe(config), "device": _device(mesh)}
    flops = {"train": training_flops, "inference": inference_flops}
    for phase in phases:
        measured = _PHASES[phase](config, mesh, num_classes, repeats, seconds)
        per_image = flops[phase](model, num_classes, size)
        achieved = measured["images_per_s"] * per_image
        peak = peak_rate(per_image, mesh.devices.flat)
        result[phase] = {
            **measured,
            "flops_per_image": per_image,
            "flops_per_s": achieved,
            "mfu": measured["images_per_s"] / peak if peak else None,
            "share_of_matrix_product": achieved / product["flops_per_s"],
        }
    result["matrix_product"] = product
    result["versions"] = versions()
    result["command"] = shlex.join(sys.argv)
    return result


def time_calls(
    run: Callable[[int], None], items: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Returns the rate of items: median and quartiles over the repeats.

    Args:
      run: makes a number of calls and returns when the last is done.
      items: of one call.
      repeats: how often the rate is taken, after two calls that do not count.
      seconds: that a repeat takes, about; at least one call.
    """
    run(1)
    start = time.perf_counter()
    run(1)
    calls = max(1, round(seconds / (time.perf_counter() - start)))
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(calls)
        rates.append(calls * items / (time.perf_counter() - start))
    low, median, high = np.percentile(rates, (25, 50, 75)).tolist()
    return {
        "images_per_s": median,
        "quartiles": [low, high],
        "seconds_per_call": items / median,
        "calls": calls,
        "repeats": repeats,
    }


def matrix_product(
    mesh: Mesh, dtype: str, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times a large square product on every device at once: what can be had here."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    side, chained = (1024, 1) if on_cpu else (8192, 16)
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    shape = (mesh.devices.size, side, side)
    ones = jnp.full(shape, 1 / side, dtype, device=sharding)

    @jax.jit
    def multiply(x: jax.Array, y: jax.Array) -> jax.Array:
        # One dispatch for many products; each needs the one before.
        return jax.lax.fori_loop(0, chained, lambda _, x: x @ y, x)

    def run(calls: int) -> None:
        x = ones
        for _ in range(calls):
            x = multiply(x, ones)
        jax.block_until_ready(x)

    measured = time_calls(run, 1, repeats, seconds)
    flops = 2 * side**3 * chained * mesh.devices.size
    return {
        "side": side,
        "dtype": dtype,
        "flops_per_s": flops / measured["seconds_per_call"],
        "quartiles": [flops * rate for rate in measured["quartiles"]],
    }


def _train(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    batch = _random_batch(config.data.batch_size, config, num_classes, mesh)

    def lower() -> Any:
        program = _program(config, mesh, num_classes)
        return program.train_step.lower(program.abstract_state, batch)

    step, compiling = compile_twice(lower)
    state = _program(config, mesh, num_classes).init()

    def run(calls: int) -> None:
        nonlocal state
        for _ in range(calls):
            state, update = step(state, batch)
        jax.block_until_ready((state, update))

    measured = time_calls(run, config.data.batch_size, repeats, seconds)
    peaks = [_peak_memory(device) for device in mesh.devices.flat]
    measured["peak_memory"] = None if None in peaks else max(p for p in peaks if p)
    return {**measured, **compiling, **_compiled_memory(step)}


def _inference(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    size = config.data.eval_batch_size or config.data.batch_size
    images = _random_batch(size, config, num_classes, mesh)["image"]
    prepare = functools.partial(augment.prepare, data=config.data)

    def lower() -> Any:
        program = _program(config, mesh, num_classes)
        params = program.abstract_state.params

        def infer(params: Any, images: jax.Array) -> jax.Array:
            inputs = prepare(images, None, train=False)
            return apply_model(program.model, params, inputs, train=False)

        shardings = (shardings_of(params), batch_sharding(mesh))
        return jax.jit(infer, in_shardings=shardings).lower(params, images)

    infer, compiling = compile_twice(lower)
    params = _program(config, mesh, num_classes).init().params

    def run(calls: int) -> None:
        jax.block_until_ready([infer(params, images) for _ in range(calls)])

    measured = time_calls(run, size, repeats, seconds)
    return {**measured, **compiling, **_compiled_memory(infer)}


_PHASES = {"train": _train, "inference": _inference}


def compile_twice(lower: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Compiles into an empty persistent cache, then again from it.

    Args:
      lower: traces anew and returns what `jax.jit(...).lower` does.

    Returns:
      The compiled function, and seconds: ``trace``, ``compile``, and
      ``compile_from_cache``.
    """
    with tempfile.TemporaryDirectory() as folder, _cache_in(folder):
        start = time.perf_counter()
        lowered = lower()
        traced = time.perf_counter()
        compiled = lowered.compile()
        done = time.perf_counter()
        again = lower()
        start_again = time.perf_counter()
        again.compile()
        from_cache = time.perf_counter() - start_again
    return compiled, {
        "trace_s": traced - start,
        "compile_s": done - traced,
        "compile_from_cache_s": from_cache,
    }


@contextlib.contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    """Sends everything that is compiled inside to a cache of its own."""
    options = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it reads the options once
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def _program(config: Config, mesh: Mesh, num_classes: int) -> Program:
    num_examples = config.data.batch_size * 1000  # an epoch of any length will do
    return make_program(config, resolve_steps(config, num_examples), num_classes, mesh)


def _random_batch(size: int, config: Config, num_classes: int, mesh: Mesh) -> Any:
    rng = np.random.default_rng(0)
    local = size // jax.process_count()
    shape = (local, *config.data.image_size, 3)
    batch = {
        "image": rng.integers(0, 256, shape, dtype=np.uint8),
        "label": rng.integers(0, num_classes, local, dtype=np.int32),
    }
    return to_mesh(batch, mesh)


def _peak_memory(device: jax.Device) -> int | None:
    """Returns the most bytes this process ever held there; the CPU does not count."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use")


def _compiled_memory(compiled: Any) -> dict[str, int]:
    """Returns the compiler's count of a device's bytes while the function runs."""
    from vit_jax.plan.memory import program_memory

    return {"compiled_memory": program_memory(compiled).total}
