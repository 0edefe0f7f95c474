"""The optimizer section of a config."""

import dataclasses
import math

from vit_jax.config.choices import ACCUMULATOR_DTYPES, OPTIMIZERS, SCHEDULES
from vit_jax.errors import ConfigError, check

Table = tuple[tuple[str, float], ...]  # (parameter path pattern, multiplier), in order


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """The optimizer, its schedule, and what it applies to. See ``vit_jax.training``."""

    name: str = "sgd"
    learning_rate: float = 0.03
    schedule: str = "cosine"
    linear_end: float = 1e-5  # where the linear schedule ends
    warmup_steps: int | None = None
    warmup_epochs: float | None = None
    warmup_percent: float | None = None  # of all steps
    momentum: float = 0.9  # sgd
    b1: float = 0.9  # adam, adamw
    b2: float = 0.999
    eps: float = 1e-8
    accumulator_dtype: str = "float32"  # of the first moment
    offload: bool = False  # keep the moments in the host's memory between updates
    clip_global_norm: float = 1.0  # 0: no clipping
    weight_decay: float = 0.0
    # First match wins, a pattern matches the whole path, every parameter is covered.
    weight_decay_multipliers: Table = ((".*/kernel", 1.0), (".*", 0.0))
    learning_rate_multipliers: Table = ((".*", 1.0),)  # 0.0: frozen

    def __post_init__(self) -> None:
        where = "config.optim"
        OPTIMIZERS.check(f"{where}.name", self.name)
        SCHEDULES.check(f"{where}.schedule", self.schedule)
        ACCUMULATOR_DTYPES.check(f"{where}.accumulator_dtype", self.accumulator_dtype)
        for name in ("learning_rate", "clip_global_norm", "weight_decay", "linear_end"):
            value = getattr(self, name)
            check(0 <= value < math.inf, f"{where}.{name}", "finite and >= 0", value)
        check(0 < self.eps < math.inf, f"{where}.eps", "finite and > 0", self.eps)
        for name in ("momentum", "b1", "b2"):
            value = getattr(self, name)
            check(0 <= value < 1, f"{where}.{name}", "in [0, 1)", value)
        if self.weight_decay and self.name == "adam":
            raise ConfigError(
                "config.optim.weight_decay must be 0 with adam, got "
                f"{self.weight_decay}; use --config.optim.name=adamw"
            )
