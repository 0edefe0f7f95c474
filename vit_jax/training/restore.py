"""What an objective trained and kept, read from a checkpoint without the rest."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from vit_jax.checkpoints.card import (
    find_checkpoint,
    read_alone,
    read_card,
    read_model_config,
    report_damage,
)
from vit_jax.checkpoints.own import as_held, as_saved
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import Axes


def restore_parts(path: Path, abstract: dict[str, Any], axes: Axes) -> dict[str, Any]:
    """Returns fields of a state, sharded as ``abstract``; None where that is None.

    Args:
      path: a workdir or one of its checkpoints.
      abstract: field -> its tree, with shardings.
      axes: of the model's arrays and of these.

    Raises:
      ConfigError: there is no checkpoint of a run, or it lacks a field.
    """
    card, folder = read_card(path), find_checkpoint(path)
    if card is None or folder is None:
        raise ConfigError(
            f"the checkpoint must be of a run that trained the objective, got {path}; "
            "give its --workdir"
        )
    is_stacked = read_model_config(card).scan
    reader = ocp.StandardCheckpointer(multiprocessing_options=read_alone())
    restored: dict[str, Any] = {}
    for name, tree in abstract.items():
        if tree is None:
            restored[name] = None
            continue
        saved = as_saved({name: tree}, is_stacked, axes)
        with report_damage(folder):
            found = {name: reader.restore(folder / name, saved[name])}
        restored[name] = as_held(found, {name: tree}, is_stacked)[name]
    return restored
