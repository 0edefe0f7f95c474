"""What a caller of `train` brings along, in the place of what the config names."""

import dataclasses
from collections.abc import Sequence

from vit_jax.config import Config
from vit_jax.config.choices import AUGMENTATIONS, OBJECTIVES, OPTIMIZERS
from vit_jax.data.augment.device import Augment
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError
from vit_jax.objectives.objective import MakeObjective
from vit_jax.training.callbacks import Callback
from vit_jax.training.optimizers import MakeOptimizer


@dataclasses.dataclass(frozen=True)
class Given:
    """The parts that no name in the config stands for."""

    source: Source | None = None
    eval_source: Source | None = None
    callbacks: Sequence[Callback] = ()


def register_given(
    config: Config,
    objective: MakeObjective | None = None,
    optimizer: MakeOptimizer | None = None,
    augment: Augment | None = None,
    source: Source | None = None,
) -> Config:
    """Returns the config with the names of what was given, found in the tables by them.

    So the checkpoint's card records it, and a resumed run is compared by it. A source
    is in no table: a later evaluation must name one, and reads no other by mistake.
    """
    if objective is not None:
        name = OBJECTIVES.adopt(objective)
        section = dataclasses.replace(config.objective, name=name)
        config = dataclasses.replace(config, objective=section)
    if optimizer is not None:
        section = dataclasses.replace(config.optim, name=OPTIMIZERS.adopt(optimizer))
        config = dataclasses.replace(config, optim=section)
    if augment is not None:
        section = dataclasses.replace(config.data, augment=AUGMENTATIONS.adopt(augment))
        config = dataclasses.replace(config, data=section)
    if source is not None:
        section = dataclasses.replace(config.data, source=type(source).__qualname__)
        config = dataclasses.replace(config, data=section)
    return config


def open_sources(config: Config, given: Given) -> tuple[Source, Source]:
    """Returns the images to learn from and those to evaluate on.

    Raises:
      ConfigError: as `make_source`; or a source is given without the other.
    """
    data = config.data
    if given.source is not None and given.eval_source is None:
        raise ConfigError(
            "eval_source must be given with source, got none; give the images to "
            "evaluate on, or the same source again"
        )
    return (
        given.source or make_source(data, data.train_split),
        given.eval_source or make_source(data, data.eval_split),
    )
