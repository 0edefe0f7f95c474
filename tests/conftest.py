"""Strict settings for every test: 8 virtual devices, no silent promotion, exact matmuls.

Set before JAX starts, hence at import.
"""

import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Tests run tiny programs once: compiling them fast beats running them fast.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 "
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
)
# Compilation is most of a test's cost; what was compiled once is shared between
# workers and runs.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).parent.parent / ".pytest_cache" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_default_matmul_precision", "highest")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of numbers that the original implementations computed."""
    return GOLDEN
