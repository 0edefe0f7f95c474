"""A checkpoint of any format, opened: what it says, and its arrays, not yet read."""

import dataclasses
from collections.abc import Mapping

from vit_jax.checkpoints.lazy import Lazy
from vit_jax.config import ModelConfig, Preprocessing


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint under canonical names; see `vit_jax.checkpoints.layout`.

    Attributes:
        format: where it comes from: google, google_prelinen, big_vision, timm,
            huggingface, vit_jax.
        tensors: canonical name -> array, read when `numpy.asarray` meets it. In the
            file's own dtype.
        model: resolved.
        num_classes: None: there is no head.
        grid: patches (down, across) of the position embedding; None where it has none,
            or where their number alone does not tell.
        preprocessing: what the weights expect, as far as the file says it.
        class_names: in the order of the logits.
        notes: what was assumed, one sentence each.
    """

    format: str
    tensors: Mapping[str, Lazy]
    model: ModelConfig
    num_classes: int | None
    grid: tuple[int, int] | None = None
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
