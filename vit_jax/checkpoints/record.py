"""A checkpoint of any format, opened: what it says, and its arrays, not yet read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vit_jax.checkpoints.lazy import Lazy
from vit_jax.config import Config, ModelConfig, Preprocessing
from vit_jax.config.choices import accept_unknown
from vit_jax.config.typed import from_dict

# What makes probabilities of the logits: softmax, unless a file says sigmoid.
SOFTMAX, SIGMOID = "softmax", "sigmoid"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What every format becomes: arrays under canonical names, and how to use them.

    Attributes:
        format: where it comes from: a row of `config.choices.FORMATS`, or ``vit_jax``
            for a run of ours.
        tensors: canonical name -> array, read when `numpy.asarray` meets it. In the
            file's own dtype.
        model: resolved.
        num_classes: y; None: there is no head.
        grid: patches (down, across) of the position embedding; None where it has none,
            or where their number does not determine it.
        preprocessing: what the weights expect, as far as the file says it.
        class_names: in the order of the logits.
        notes: what was assumed, one sentence each.
        loss: what the head means: ``sigmoid``, each class by itself; ``softmax``, or a
            loss that a caller registered, one class of all.
        card: what a run of ours says about itself; None for other formats.
    """

    format: str
    tensors: Mapping[str, Lazy]
    model: ModelConfig
    num_classes: int | None
    grid: tuple[int, int] | None = None
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    loss: str = SOFTMAX
    card: Mapping[str, Any] | None = None

    @property
    def run(self) -> Config | None:
        """The config of the run that wrote it.

        What a caller registered for the run need not be registered here.

        Raises:
            ConfigError: this version does not know a field of it.
        """
        if self.card is None:
            return None
        with accept_unknown():
            return from_dict(Config, self.card["config"], "card.config")

    @property
    def step(self) -> int | None:
        """Completed updates of the run that wrote it."""
        return None if self.card is None else self.card["step"]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the run's last evaluation; empty for other formats."""
        return {} if self.card is None else self.card["metrics"]
