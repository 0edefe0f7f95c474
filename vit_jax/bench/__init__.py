"""Timing what is here: images per second, and how near that is to the limits."""

from vit_jax.bench.measure import run_bench
from vit_jax.bench.report import format_bench

__all__ = ["format_bench", "run_bench"]
