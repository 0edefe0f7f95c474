"""What an objective trained and kept, read from a checkpoint without the rest."""

from pathlib import Path
from typing import Any

import jax

from vit_jax.checkpoints.card import read_card, read_model_config
from vit_jax.checkpoints.files.orbax_files import find_step, read_sharded
from vit_jax.checkpoints.stacked import as_held, as_saved
from vit_jax.checkpoints.trees import nest
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import Axes, format_path


def restore_parts(path: Path, abstract: dict[str, Any], axes: Axes) -> dict[str, Any]:
    """Returns fields of a state, sharded as ``abstract``; None where that is None.

    Args:
      path: a workdir or one of its checkpoints.
      abstract: field -> its tree, with shardings.
      axes: of the model's arrays and of these.

    Raises:
      ConfigError: there is no checkpoint of a run, or it lacks a field.
    """
    card, folder = read_card(path), find_step(path)
    if card is None or folder is None:
        raise ConfigError(
            f"the checkpoint must be of a run that trained the objective, got {path}; "
            "give its --workdir"
        )
    is_stacked = read_model_config(card).scan
    restored: dict[str, Any] = dict.fromkeys(abstract)
    for name, tree in abstract.items():
        if tree is None:
            continue
        # Under its field's name, where the rows of axes find it.
        held = {name: tree}
        saved = as_saved(held, is_stacked, axes)
        flat = {
            format_path(path): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(saved[name])
        }
        found = {name: nest(read_sharded(folder / name, flat))}
        restored[name] = as_held(found, held, is_stacked)[name]
    return restored
