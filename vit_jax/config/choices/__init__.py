"""Every choice that a config key or an option names, one table each.

Config checks, error messages, ``--help`` and docs/choices.md read these tables, so a
new row is all there is to type. A caller adds their own with ``register``:

>>> LOSSES.register("focal", focal_loss, "down-weights easy examples")
"""

from vit_jax.config.choices.commands import EVALUATORS, FEATURES, FIGURES, PHASES
from vit_jax.config.choices.data import (
    AUGMENTATIONS,
    EVAL_CROPS,
    INTERPOLATIONS,
    SOURCES,
    TRAIN_CROPS,
)
from vit_jax.config.choices.formats import FORMATS, RESAMPLINGS
from vit_jax.config.choices.model import (
    ACTIVATIONS,
    ATTENTIONS,
    CLASSIFIERS,
    DTYPES,
    FAMILIES,
    POSEMBS,
    REMAT,
)
from vit_jax.config.choices.table import Choice, Choices, accept_unknown
from vit_jax.config.choices.training import (
    ACCUMULATOR_DTYPES,
    LOSSES,
    MESH_PRESETS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
)

__all__ = [
    "ACCUMULATOR_DTYPES",
    "ACTIVATIONS",
    "ATTENTIONS",
    "AUGMENTATIONS",
    "CLASSIFIERS",
    "DTYPES",
    "EVALUATORS",
    "EVAL_CROPS",
    "FAMILIES",
    "FEATURES",
    "FIGURES",
    "FORMATS",
    "INTERPOLATIONS",
    "LOSSES",
    "MESH_PRESETS",
    "OBJECTIVES",
    "OPTIMIZERS",
    "PHASES",
    "POSEMBS",
    "REMAT",
    "RESAMPLINGS",
    "SCHEDULES",
    "SOURCES",
    "TRAIN_CROPS",
    "Choice",
    "Choices",
    "accept_unknown",
]
