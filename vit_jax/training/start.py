"""What a run starts from, when its workdir has no checkpoint yet."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.open import OpenOnce
from vit_jax.checkpoints.place import place_params
from vit_jax.config import Config
from vit_jax.data.sources import Source
from vit_jax.mesh.sharding import get_shardings
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
    state = program.init()
    if start is None:
        return state, ()
    names = start().class_names
    fitted = fit_checkpoint(
        start(),
        config.model,
        source.num_classes,
        config.data.image_size,
        head="auto" if names and names == source.class_names else "new",
        images=config.data.preprocessing,
    )
    shardings = get_shardings(program.abstract_state.params)
    placed = place_params(fitted, mesh, scan=config.model.scan)
    params: Any = jax.device_put(placed, shardings)
    ema = None if state.ema is None else jax.tree.map(jnp.copy, params)
    return state.replace(params=params, ema=ema), fitted.notes
