"""The head of a fitted checkpoint: kept, or a new one of zeros in its place."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vit_jax import models
from vit_jax.checkpoints.lazy import Lazy, Shape, make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError, check_choice

HEADS = ("auto", "keep", "new")
_NAMES = ("head/", "head_dist/")


class Target(NamedTuple):
    """What a checkpoint is fitted to.

    Attributes:
        model: resolved; its layers are a loop.
        num_classes: y; None: no head.
        is_new: whether the head starts at zero.
    """

    model: ModelConfig
    num_classes: int | None
    is_new: bool


def choose_target(
    checkpoint: Checkpoint,
    model: ModelConfig | None,
    num_classes: int | None,
    head: str,
) -> Target:
    """Returns the model to fit to, and whether it gets a new head.

    Args:
        checkpoint: to be fitted.
        model: None: the checkpoint's own, without pre-logits before a new head.
        num_classes: None: the checkpoint's.
        head: one of `HEADS`; see `fit.fit_checkpoint`.

    Raises:
        ConfigError: a head is to be kept without what it was trained on.
    """
    check_choice("head", head, HEADS)
    classes = checkpoint.num_classes if num_classes is None else num_classes
    is_new = head == "new" or (head == "auto" and classes != checkpoint.num_classes)
    if model is None:
        model = checkpoint.model
        model = (
            dataclasses.replace(model, representation_size=None) if is_new else model
        )
    target = dataclasses.replace(models.resolve_model(model), scan=False, remat="none")
    if classes is not None and loses_pre_logits(checkpoint.model, target):
        if head == "keep":
            raise ConfigError(
                "head must be new where the tanh pre-logits that it was trained on are "
                'left out, got "keep"; or set config.model.representation_size='
                f"{checkpoint.model.representation_size}"
            )
        is_new = True
    return Target(target, classes, is_new)


def loses_pre_logits(source: ModelConfig, target: ModelConfig) -> bool:
    """Returns whether the tanh pre-logits are left out."""
    return source.representation_size is not None and target.representation_size is None


def remove_head(
    checkpoint: Checkpoint, target: Target, notes: list[str]
) -> dict[str, Lazy]:
    """Returns the checkpoint's arrays without the parts of its head that are not kept."""
    removed = _NAMES if target.is_new else ()
    if loses_pre_logits(checkpoint.model, target.model):
        removed = (*removed, "pre_logits/")
        notes.append("the tanh pre-logits are left out")
    return {k: v for k, v in checkpoint.tensors.items() if not k.startswith(removed)}


def add_head(
    tree: dict[str, Lazy],
    target: Target,
    shapes: Mapping[str, Shape],
    notes: list[str],
) -> None:
    """Adds zero kernels, and the biases that the model asks for, where the head is new."""
    if not target.is_new or target.num_classes is None:
        return
    for name, shape in shapes.items():
        if name.startswith(_NAMES):
            value = target.model.head_bias_init if name.endswith("bias") else 0.0
            tree[name] = make_lazy(np.full(shape, value, np.float32))
    notes.append(f"a new head of {target.num_classes} classes, which starts at zero")
