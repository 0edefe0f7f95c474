"""Timing of calls and of compilation."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache


def time_calls(
    run: Callable[[int], None], items: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Measures the rate of items per second: median and quartiles of the repeats.

    Args:
      run: makes the given number of calls, and returns when the last is done.
      items: processed by one call.
      repeats: number of measurements, after two calls that are not measured.
      seconds: approximate duration of one measurement, of at least one call.

    Returns:
      The median ``rate`` in items per second and its ``quartiles``; the median
      ``seconds_per_call``, and the median ``cpu_seconds_per_call`` of all threads of the
      process, which varies less where other programs run at the same time; the number of
      ``calls`` of one repeat; and ``repeats``.
    """
    run(1)
    start = time.perf_counter()
    run(1)
    calls = max(1, round(seconds / (time.perf_counter() - start)))
    rates, cpu_seconds = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        run(calls)
        rates.append(calls * items / (time.perf_counter() - start))
        cpu_seconds.append((time.process_time() - cpu_start) / calls)
    low, median, high = np.percentile(rates, (25, 50, 75)).tolist()
    return {
        "rate": median,
        "quartiles": [low, high],
        "seconds_per_call": items / median,
        "cpu_seconds_per_call": float(np.median(cpu_seconds)),
        "calls": calls,
        "repeats": repeats,
    }


def compile_twice(lower: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Compiles with an empty persistent cache, then again from that cache.

    Args:
      lower: traces a new function and returns the result of ``jax.jit(...).lower``.

    Returns:
      The compiled function, and the seconds ``trace_s``, ``compile_s`` and
      ``compile_from_cache_s``.
    """
    with tempfile.TemporaryDirectory() as folder, _use_cache(folder):
        start = time.perf_counter()
        lowered = lower()
        traced = time.perf_counter()
        compiled = lowered.compile()
        done = time.perf_counter()
        again = lower()  # a new function to JAX, the same program to the cache
        asked = time.perf_counter()
        again.compile()
        cached = time.perf_counter()
    return compiled, {
        "trace_s": traced - start,
        "compile_s": done - traced,
        "compile_from_cache_s": cached - asked,
    }


@contextlib.contextmanager
def _use_cache(folder: str) -> Iterator[None]:
    """Moves JAX's persistent compilation cache to a folder, inside the block."""
    options = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it reads the options only once
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
