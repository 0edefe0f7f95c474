"""A whole run: the sections of a config together."""

import dataclasses

from vit_jax.config.data import DataConfig
from vit_jax.config.mesh import MeshConfig
from vit_jax.config.model import ModelConfig, Pair
from vit_jax.config.objective import ObjectiveConfig
from vit_jax.config.optim import OptimConfig
from vit_jax.config.train import TrainConfig
from vit_jax.errors import ConfigError, check


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """What the parameters start from, when the workdir has no checkpoint yet."""

    checkpoint: str | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    name: str
    data: DataConfig
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    mesh: MeshConfig = MeshConfig()
    init: InitConfig = InitConfig()
    seed: int = 0
    profile: Pair | None = None  # first and last update that is traced; "100": one

    def __post_init__(self) -> None:
        check(0 <= self.seed < 2**63, "config.seed", "in [0, 2**63)", self.seed)
        first, last = self.profile or (1, 1)
        rule = "(first, last) with 1 <= first <= last"
        check(1 <= first <= last, "config.profile", rule, self.profile)
        batch, parts = self.data.batch_size, self.train.accum_steps
        if batch % parts:
            raise ConfigError(
                f"config.data.batch_size must be a multiple of config.train.accum_steps"
                f" ({parts}), got {batch}; try {batch // parts * parts + parts}"
            )
