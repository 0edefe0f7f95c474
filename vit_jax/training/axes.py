"""The logical axes of every array in a state."""

from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
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
