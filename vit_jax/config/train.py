"""The training section of a config: how long, how often, which loss."""

import dataclasses

from vit_jax.config.choices import LOSSES
from vit_jax.errors import check


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long, how often, and with which loss."""

    total_steps: int | None = None
    total_epochs: float | None = None
    total_examples: int | None = None
    eval_every_steps: int | None = None
    eval_every_epochs: float | None = None
    eval_every_percent: float | None = None
    save_every_steps: int | None = None
    save_every_epochs: float | None = None
    save_every_percent: float | None = None
    log_every_steps: int = 50  # a short run reports five times at least
    accum_steps: int = 1  # micro-batches that one update is made of
    loss: str = "softmax"
    label_smoothing: float = 0.0
    ema_decay: float | None = (
        None  # of an average of the parameters, which is then used
    )
    keep_checkpoints: int = 1

    def __post_init__(self) -> None:
        where = "config.train"
        for name in ("log_every_steps", "accum_steps", "keep_checkpoints"):
            check(
                getattr(self, name) > 0, f"{where}.{name}", "> 0", getattr(self, name)
            )
        decay = self.ema_decay
        check(decay is None or 0 < decay < 1, f"{where}.ema_decay", "in (0, 1)", decay)
        LOSSES.check(f"{where}.loss", self.loss)
        check(
            0 <= self.label_smoothing < 1,
            f"{where}.label_smoothing",
            "in [0, 1)",
            self.label_smoothing,
        )
