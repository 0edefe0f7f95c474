"""A checkpoint fitted to a task: another head, image size, patch size, input range."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from vit_jax import models
from vit_jax.checkpoints import trees
from vit_jax.checkpoints.adapt.fold import fold_range, is_same_range
from vit_jax.checkpoints.adapt.head import add_head, choose_target, remove_head
from vit_jax.checkpoints.adapt.positions import fit_prefix, resample_all
from vit_jax.checkpoints.adapt.resample import Grid, resize_patches
from vit_jax.checkpoints.formats.support import WITHOUT_EFFECT
from vit_jax.checkpoints.lazy import Lazy, Shape
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError


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
            tanh pre-logits are dropped, as the original does in fine-tuning.
        num_classes: None: as the checkpoint, which keeps its head.
        image_size: (height, width) in pixels; None: as the checkpoint.
        head: ``keep``, ``new`` (zeros), or ``auto``: new where the number of classes
            differs, or the tanh pre-logits that it was trained on are left out.
        method: how position embeddings are resampled; see `resample.resample`.
        images: how images will be scaled (``value_range``, ``mean``, ``std``); another
            scaling than the weights expect is folded into the patch embedding.

    Raises:
        ConfigError: the checkpoint cannot be fitted; the error lists what is missing,
            what is left over, and which shapes differ.
    """
    target = choose_target(checkpoint, model, num_classes, head)
    notes = _compare_models(checkpoint.model, target.model)
    size, grid = _sizes(checkpoint, target.model, image_size)
    tree = remove_head(checkpoint, target, notes)
    if target.model.patch_size != checkpoint.model.patch_size:
        _resize_patches(tree, target.model, notes)
    fit_prefix(tree, checkpoint.model, target.model, notes)
    if grid is not None:
        resample_all(tree, target.model, checkpoint.grid, grid, method, notes)
    preprocessing = _set_size(checkpoint.preprocessing, size)
    if images and preprocessing and not is_same_range(images, preprocessing):
        folded = fold_range(tree, target.model, preprocessing, images)
        target = target._replace(model=folded)
        preprocessing = _set_range(preprocessing, images)
        notes.append("the scaling of the images is folded into the patch embedding")
    grid = grid or checkpoint.grid
    shapes = _find_shapes(target.model, target.num_classes, grid)
    add_head(tree, target, shapes, notes)
    trees.check_tree(tree, shapes, f"the {checkpoint.format} checkpoint", _ADVICE)
    return dataclasses.replace(
        checkpoint,
        tensors={name: tree[name] for name in shapes},
        model=target.model,
        num_classes=target.num_classes,
        grid=grid,
        preprocessing=preprocessing,
        class_names=None if target.is_new else checkpoint.class_names,
        loss=SOFTMAX if target.is_new else checkpoint.loss,
        notes=(*checkpoint.notes, *notes),
    )


_ADVICE = (
    "add --config.model.variant=None to have the checkpoint's own model, or take "
    "another checkpoint"
)
# Fields to which arrays are fitted; and an initial value, which trained ones replace.
_FITTED = frozenset(
    {"patch_size", "representation_size", "posemb_prefix", "patch_bias",
     "layer_scale_init"}
)  # fmt: skip


def _compare_models(source: ModelConfig, target: ModelConfig) -> list[str]:
    """Returns a note for each field that changes what the same arrays compute.

    A field that changes the arrays' names or shapes is an error later on.
    """
    names = [field.name for field in dataclasses.fields(source)]
    return [
        f"its {name} is {there}, the model's {here}"
        for name in names
        if name not in WITHOUT_EFFECT | _FITTED
        and (there := getattr(source, name)) != (here := getattr(target, name))
    ]


def _set_size(
    preprocessing: Preprocessing | None, size: tuple[int, int] | None
) -> Preprocessing | None:
    """Returns the preprocessing of images of a size; None: as it is."""
    if size is None:
        return preprocessing
    return dataclasses.replace(preprocessing or Preprocessing(size), image_size=size)


def _set_range(preprocessing: Preprocessing, images: Preprocessing) -> Preprocessing:
    """Returns the preprocessing with the scaling of other images."""
    return dataclasses.replace(
        preprocessing,
        value_range=images.value_range,
        mean=images.mean,
        std=images.std,
    )


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


def _find_shapes(
    model: ModelConfig, num_classes: int | None, grid: Grid | None
) -> Mapping[str, Shape]:
    """Returns every parameter that a model has for a grid of patches."""
    if grid is None:
        return models.find_shapes(model, num_classes, None)
    down, across = models.find_token_size(model)
    return models.find_shapes(model, num_classes, (grid[0] * down, grid[1] * across))


def _resize_patches(
    tree: dict[str, Lazy], target: ModelConfig, notes: list[str]
) -> None:
    patches = models.find_family(target).patches
    name = patches.name
    if not patches.is_plain or name not in tree:
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
