"""What a run starts from, when its workdir has no checkpoint yet."""

from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.load import load
from vit_jax.checkpoints.open import OpenOnce
from vit_jax.checkpoints.place import place_params
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import Config, Preprocessing
from vit_jax.data.sources import Source
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import get_shardings
from vit_jax.objectives.objective import Constant, Objective
from vit_jax.training.program import Program
from vit_jax.training.state import TrainState


def start_state(
    config: Config,
    program: Program,
    source: Source,
    mesh: Mesh,
    start: OpenOnce | None,
) -> tuple[TrainState, tuple[str, ...]]:
    """Returns the first state, fresh or with a checkpoint's parameters, and notes.

    The checkpoint is fitted: a new head starts at zero, unless the data have the
    checkpoint's very classes and the model what its head was trained on, and position
    embeddings are resampled to the images.

    Args:
      config: resolved.
      program: of the run.
      source: of the training images.
      mesh: of the run.
      start: ``config.init.checkpoint``: the name of published weights, or a file,
        folder or workdir of any format. None: a fresh state.

    Raises:
      ConfigError: it cannot be had, is damaged, or does not fit the model.
    """
    if start is None:
        return program.init(), ()
    names = start().class_names
    is_named = names and names == program.objective.name_outputs(source)
    fitted = fit_checkpoint(
        start(),
        config.model,
        program.num_outputs,
        config.data.image_size,
        head="auto" if is_named else "new",
        images=config.data.preprocessing,
    )
    check_patch_bias(config, fitted, start().preprocessing)
    shardings = get_shardings(program.abstract_state.params)
    placed = place_params(fitted, mesh, scan=config.model.scan)
    params: Any = jax.device_put(placed, shardings)
    return program.start(params), fitted.notes


def check_patch_bias(
    config: Config, fitted: Checkpoint, expected: Preprocessing | None
) -> None:
    """Raises ConfigError where a scaling was folded into a bias that the run lacks."""
    if expected is None or fitted.model.patch_bias == config.model.patch_bias:
        return
    given = config.data
    raise ConfigError(
        "config.data.value_range, mean and std must be the checkpoint's own for a patch "
        f"embedding without bias, got {given.value_range}, {given.mean}, {given.std}; "
        f"use {expected.value_range}, {expected.mean}, {expected.std}"
    )


def open_constants(objective: Objective, mesh: Mesh) -> dict[str, Constant]:
    """Returns the models that an objective is handed, placed on the mesh.

    Raises:
      ConfigError: a checkpoint cannot be had, or is damaged.
    """
    opened = {name: load(path, mesh) for name, path in objective.constants.items()}
    return {
        name: Constant(loaded.model, loaded.params, loaded.preprocessing)
        for name, loaded in opened.items()
    }
