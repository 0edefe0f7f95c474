"""The logical axes of every array in a state."""

from typing import Any

import jax

from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import Axes, format_path
from vit_jax.objectives.objective import Objective


def find_state_axes(model: ModelConfig, objective: Objective) -> Axes:
    """Returns the rows for parameters, moments, and what the objective adds."""
    return (*find_objective_axes(objective), *models.find_axes(model))


def find_objective_axes(objective: Objective) -> Axes:
    """Returns the rows for what the objective trains and keeps, by paths in a state.

    They come first, so that a ``head/kernel`` of its own is not taken for the model's.
    """
    return tuple(
        (f"{field}/{path}", axes)
        for field in ("own", "kept")
        for path, axes in objective.axes
    )


def check_objective_axes(own: Any, kept: Any, axes: Axes) -> None:
    """Raises ConfigError for an array of an objective that no row of axes is for.

    Args:
      own: what the objective trains, abstract.
      kept: what it keeps, likewise.
      axes: from `find_state_axes`.
    """
    added = {"own": own, "kept": kept}
    for path, leaf in jax.tree_util.tree_leaves_with_path(added):
        name = format_path(path)
        is_covered = any(f"/{name}".endswith(f"/{suffix}") for suffix, _ in axes)
        if leaf.ndim and not is_covered:
            short, nones = name.partition("/")[2], (None,) * leaf.ndim
            raise ConfigError(
                f"the objective's axes must have a row for its {name}, got none; add "
                f'("{short}", {nones}), which shards no axis of it'
            )
