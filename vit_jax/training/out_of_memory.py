"""Running out of device memory: what fills it, and which setting makes room."""

import contextlib
import os
from collections.abc import Iterator

import jax
from jax.sharding import Mesh

from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import count_batch_shards
from vit_jax.training.memory import CountedMemory, count_memory
from vit_jax.training.state import TrainState


@contextlib.contextmanager
def explain_out_of_memory(
    config: Config, state: TrainState, mesh: Mesh, num_outputs: int | None
) -> Iterator[None]:
    """Turns XLA's "RESOURCE_EXHAUSTED" into one line that says what to change.

    Args:
      config: resolved.
      state: abstract, with shardings; see `program.Program`.
      mesh: of the run.
      num_outputs: width of the head; None: no head.

    Raises:
      ConfigError: the block ran out of device memory, in compilation or in a step.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if isinstance(error, ConfigError) or "RESOURCE_EXHAUSTED" not in str(error):
            raise
        counted = count_memory(config, state, mesh, num_outputs)
        raise ConfigError(describe_memory(config, counted, mesh)) from error


def describe_memory(config: Config, counted: CountedMemory, mesh: Mesh) -> str:
    """Returns the error's line: what fills the memory, largest first, and what to change.

    Args:
      config: resolved.
      counted: memory of one device.
      mesh: of the run.
    """
    terms = {
        "parameters": counted.parameters,
        "optimizer state": counted.moments,
        "gradients": counted.gradients,
        "activations": counted.activations,
        "images": counted.batch,
    }
    by_size = sorted(terms.items(), key=lambda term: -term[1])
    listed = ", ".join(f"{name} {_format_size(count)}" for name, count in by_size)
    device = mesh.local_devices[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    of = f" of {_format_size(limit)}" if limit else ""
    per_image = counted.activations + counted.batch > sum(terms.values()) / 2
    advice = (
        _advise_fewer_activations(config, mesh)
        if per_image
        else _advise_less_state(config, mesh)
    )
    if device.platform == "gpu" and _FRACTION not in os.environ:
        advice.append(
            f"{_FRACTION}=0.95 before the command (by default JAX allocates 75% of a GPU)"
        )
    return (
        f"out of memory: each {device.device_kind} device{of} must hold about "
        f"{_format_size(counted.total)}: {listed}; add {', or '.join(advice)}"
    )


_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


def _advise_fewer_activations(config: Config, mesh: Mesh) -> list[str]:
    advice = []
    if config.model.remat != "full":
        advice.append("--config.model.remat=full")
    batch, parts = config.data.batch_size, config.train.accum_steps
    devices = count_batch_shards(mesh)
    more = [n for n in range(2 * parts, batch // devices + 1)
            if n % parts == 0 and batch % (n * devices) == 0]  # fmt: skip
    if more:
        advice.append(f"--config.train.accum_steps={more[0]}")
    if config.model.dtype == "float32":
        advice.append("--config.model.dtype=bfloat16")
    return advice or ["a smaller --config.data.batch_size"]


def _advise_less_state(config: Config, mesh: Mesh) -> list[str]:
    advice = []
    if mesh.size > 1 and mesh.shape["fsdp"] == 1:
        advice.append("--config.mesh.preset=fsdp")
    if config.optim.accumulator_dtype == "float32":
        advice.append("--config.optim.accumulator_dtype=bfloat16")
    if not config.optim.offload and mesh.local_devices[0].platform in ("gpu", "tpu"):
        advice.append("--config.optim.offload=True")
    return advice or ["more devices, with --config.mesh.preset=fsdp"]


def _format_size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
