"""Timing a config on this machine: images per second, and how close that is to peak."""

from vit_jax.bench.measure import run_bench
from vit_jax.bench.report import format_bench

__all__ = ["format_bench", "run_bench"]
