"""The objective section of a config: what is learned."""

import dataclasses

from vit_jax.config.choices import OBJECTIVES


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What is learned from the images, by its name in the table of objectives.

    The settings of ``classify`` are ``config.train.loss``, ``label_smoothing``,
    ``config.data.mixup`` and ``cutmix``.
    """

    name: str = "classify"

    def __post_init__(self) -> None:
        OBJECTIVES.check("config.objective.name", self.name)
