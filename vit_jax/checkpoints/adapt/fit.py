"""A checkpoint fitted to a task: another head, image size, patch size, input range."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from vit_jax import models
from vit_jax.checkpoints import layout, trees
from vit_jax.checkpoints.adapt.fold import fold_range, is_same_range
from vit_jax.checkpoints.adapt.positions import fit_prefix, resample_all
from vit_jax.checkpoints.adapt.resample import Grid, resize_patches
from vit_jax.checkpoints.lazy import Lazy, Shape, make_lazy
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError, check_choice

HEADS = ("auto", "keep", "new")
_HEADS = ("head/", "head_dist/")


def fit_checkpoint(
    checkpoint: Checkpoint,
    model: ModelConfig | None = None,
    num_classes: int | None = None,
    image_size: tuple[int, int] | None = None,
    *,
    head: str = "auto",
    method: str = "bilinear",
    images: Preprocessing | None = None,
) -> Checkpoint:
    """Returns the checkpoint as a model needs it; nothing is read yet.

    Args:
        checkpoint: of any format.
        model: to be fitted to; None: the checkpoint's own. With a new head and None the
            tanh pre-logits are dropped, as the original does when it fine-tunes.
        num_classes: None: as the checkpoint, which keeps its head.
        image_size: (height, width) in pixels; None: as the checkpoint.
        head: ``keep`` the checkpoint's, put a ``new`` one of zeros in its place, or
            ``auto``: new where the number of classes differs, or where the tanh
            pre-logits that it was trained on are left out.
        method: how position embeddings are resampled; see `resample.resample`.
        images: how images will be scaled (``value_range``, ``mean``, ``std``); another
            scaling than the weights expect is folded into the patch embedding. None: as
            they expect it.

    Raises:
        ConfigError: the checkpoint cannot be fitted; it says what is missing, what is
            too much, and which shapes differ.
    """
    check_choice("head", head, HEADS)
    classes = checkpoint.num_classes if num_classes is None else num_classes
    is_new = head == "new" or (head == "auto" and classes != checkpoint.num_classes)
    target = models.resolve_model(
        model or _without_pre_logits(checkpoint.model, is_new)
    )
    target = dataclasses.replace(target, scan=False, remat="none")
    if classes is not None and _loses_pre_logits(checkpoint, target):
        if head == "keep":
            raise ConfigError(
                "head must be new where the tanh pre-logits that it was trained on are "
                'left out, got "keep"; or set config.model.representation_size='
                f"{checkpoint.model.representation_size}"
            )
        is_new = True
    notes = [
        f"its {field} is {there}, the model's {here}"
        for field in ("activation", "layer_norm_epsilon")
        if (there := getattr(checkpoint.model, field))
        != (here := getattr(target, field))
    ]
    tree = dict(checkpoint.tensors)
    old_grid = checkpoint.grid
    size, grid = _sizes(checkpoint, target, image_size)
    if is_new:
        tree = {k: v for k, v in tree.items() if not k.startswith(_HEADS)}
    if _loses_pre_logits(checkpoint, target):
        tree = {k: v for k, v in tree.items() if not k.startswith("pre_logits/")}
        notes.append("the tanh pre-logits are left out")
    if target.patch_size != checkpoint.model.patch_size:
        _resize_patches(tree, target, notes)
    fit_prefix(tree, checkpoint.model, target, notes)
    if grid is not None:
        resample_all(tree, target, old_grid, grid, method, notes)
    preprocessing = checkpoint.preprocessing
    if size is not None:
        preprocessing = dataclasses.replace(
            preprocessing or Preprocessing(size), image_size=size
        )
    if images and preprocessing and not is_same_range(images, preprocessing):
        target = fold_range(tree, target, preprocessing, images)
        preprocessing = dataclasses.replace(
            preprocessing,
            value_range=images.value_range,
            mean=images.mean,
            std=images.std,
        )
        notes.append("the scaling of the images is folded into the patch embedding")
    shapes = layout.shapes(target, classes, grid or old_grid)
    if is_new and classes is not None:
        _add_head(tree, target, shapes)
        notes.append(f"a new head of {classes} classes, which starts at zero")
    trees.check_tree(
        tree,
        shapes,
        f"the {checkpoint.format} checkpoint",
        "add --config.model.variant=None to have the checkpoint's own model, or take "
        "another checkpoint",
    )
    return dataclasses.replace(
        checkpoint,
        tensors={name: tree[name] for name in shapes},
        model=target,
        num_classes=classes,
        grid=grid or old_grid,
        preprocessing=preprocessing,
        class_names=None if is_new else checkpoint.class_names,
        loss=SOFTMAX if is_new else checkpoint.loss,
        notes=(*checkpoint.notes, *notes),
    )


def _without_pre_logits(model: ModelConfig, is_new: bool) -> ModelConfig:
    return dataclasses.replace(model, representation_size=None) if is_new else model


def _loses_pre_logits(checkpoint: Checkpoint, target: ModelConfig) -> bool:
    has_them = checkpoint.model.representation_size is not None
    return has_them and target.representation_size is None


def _sizes(
    checkpoint: Checkpoint, target: ModelConfig, image_size: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, Grid | None]:
    """Returns image size and grid of the result, as far as they are known."""
    if image_size is None and checkpoint.preprocessing is not None:
        image_size = checkpoint.preprocessing.image_size
    if image_size is None:
        return None, None
    models.check_image_size(target, image_size)
    down, across = models.find_token_size(target)
    return image_size, (image_size[0] // down, image_size[1] // across)


def _resize_patches(
    tree: dict[str, Lazy], target: ModelConfig, notes: list[str]
) -> None:
    name = "embedding/kernel"
    if target.family != "vit" or name not in tree:
        raise ConfigError(
            f"config.model.patch_size cannot change in the family {target.family}; "
            "take another checkpoint"
        )
    size, kernel = target.patch_size, tree[name]
    assert size is not None
    tree[name] = kernel.map(
        lambda x: resize_patches(x, size), (*size, *kernel.shape[2:]), np.float32
    )
    notes.append(f"patches resized from {kernel.shape[:2]} to {size}")


def _add_head(
    tree: dict[str, Lazy], model: ModelConfig, shapes: Mapping[str, Shape]
) -> None:
    """Adds zero kernels, and the biases that the model asks for."""
    for name, shape in shapes.items():
        if name.startswith(_HEADS):
            value = model.head_bias_init if name.endswith("bias") else 0.0
            tree[name] = make_lazy(np.full(shape, value, np.float32))
