"""Tracing and compiling a config's training step for a mesh, without data or files."""

import math
import re
import time
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vit_jax.config import Config
from vit_jax.config.durations import resolve_steps
from vit_jax.mesh.sharding import make_batch_sharding
from vit_jax.plan.memory import ProgramMemory, measure_program
from vit_jax.plan.summary import Summary, summarise_program
from vit_jax.training.program import Program, make_program


class Trial(NamedTuple):
    """The result of compiling a training step.

    Attributes:
      memory: of one device; None if the program does not fit into the memory.
      needed: bytes that the compiler reports for a program that does not fit, 0 if it
        reports none; None if the program fits.
      summary: of the compiled program; None if it does not fit.
      seconds: of tracing and compiling.
    """

    memory: ProgramMemory | None
    needed: int | None
    summary: Summary | None
    seconds: float


def make_trial_program(config: Config, num_classes: int, mesh: Mesh) -> Program:
    """Returns the program of a resolved config, for an epoch of 1,000 batches."""
    steps = resolve_steps(config, config.data.batch_size * 1000)
    return make_program(config, steps, num_classes, mesh)


def make_abstract_batch(config: Config, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and shardings of a global training batch."""
    rows, size = make_batch_sharding(mesh), config.data.batch_size
    shape = (size, *config.data.image_size, 3)
    return {
        "image": jax.ShapeDtypeStruct(shape, np.uint8, sharding=rows),
        "label": jax.ShapeDtypeStruct((size,), np.int32, sharding=rows),
    }


def compile_step(config: Config, program: Program, mesh: Mesh) -> Trial:
    """Compiles the training step for the devices of the mesh.

    Args:
      config: resolved.
      program: of the config; see `make_trial_program`.
      mesh: of the program.
    """
    start = time.perf_counter()
    batch = make_abstract_batch(config, mesh)
    lowered = program.train_step.lower(program.abstract_state, batch)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        needed = parse_memory_needed(str(error))
        if needed is None:
            raise
        return Trial(None, needed, None, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    summary = summarise_program(compiled.as_text())
    return Trial(measure_program(compiled), None, summary, seconds)


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_NEEDED = re.compile(r"(?:Used |\()([\d.]+)([KMGT]?)(?: of |\) exceeds)")


def parse_memory_needed(message: str) -> int | None:
    """Returns the bytes that an out-of-memory message of the TPU compiler reports.

    Returns 0 if the message reports no number, and None for any other message.
    """
    if "RESOURCE_EXHAUSTED" not in message:
        return None
    match = _NEEDED.search(message)
    return math.ceil(float(match[1]) * _UNITS[match[2]]) if match else 0
