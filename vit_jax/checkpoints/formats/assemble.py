"""From arrays under canonical names, in any layout, to a `Checkpoint`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax import models
from vit_jax.checkpoints import trees
from vit_jax.checkpoints.formats.metadata import Metadata
from vit_jax.checkpoints.lazy import Lazy, Shape
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.checkpoints.trees import Rule
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError
from vit_jax.models import (
    POSITION,
    Inferred,
    Shapes,
    find_shapes,
    find_square_grid,
    infer_model,
)

Grid = tuple[int, int]


_ADVICE = "is the file complete, and of a model that is supported?"


def assemble_flax(
    file_format: str, tree: Mapping[str, Lazy], metadata: Metadata, what: str
) -> Checkpoint:
    """Returns the checkpoint whose arrays have canonical names and shapes already.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    found = Shapes({k: v.shape for k, v in tree.items()}, what, torch=False)
    inferred, grid, expected = _understand(found, metadata)
    trees.check_tree(tree, expected, what, _ADVICE)
    ordered = {name: tree[name] for name in expected}
    return _make_checkpoint(file_format, ordered, inferred, grid, metadata)


def assemble_torch(
    file_format: str,
    tensors: Mapping[str, Lazy],
    rules: Iterable[Rule],
    metadata: Metadata,
    what: str,
) -> Checkpoint:
    """Returns the checkpoint whose arrays the rules rename and rearrange.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    rules = list(rules)
    known = [rule for rule in rules if rule.theirs in tensors]
    shapes = {rule.ours[0]: tensors[rule.theirs].shape for rule in known}
    if len(shapes.get(POSITION, ())) == 2:
        shapes[POSITION] = (1, *shapes[POSITION])
    found = Shapes(shapes, what, torch=True)
    inferred, grid, expected = _understand(found, metadata)
    tree = trees.convert_from(tensors, rules, expected, what, _ADVICE)
    ordered = {name: tree[name] for name in expected}
    return _make_checkpoint(file_format, ordered, inferred, grid, metadata)


def _understand(
    found: Shapes, metadata: Metadata
) -> tuple[Inferred, Grid | None, Mapping[str, Shape]]:
    """Returns the resolved model, its grid, and every array that it must have."""
    inferred = infer_model(found, metadata.fields)
    num_patches = inferred.num_patches
    if num_patches is not None and num_patches < 1:
        raise ConfigError(
            f"{found.what} must have positions for patches, got {num_patches} of them"
        )
    try:
        model = models.resolve_model(inferred.model)
        grid = _find_grid(model, num_patches, metadata.preprocessing.get("image_size"))
        # Where no position embedding says how many patches there are, their number does
        # not matter: if there must be one, it is missing.
        sides = zip(
            grid or (1, num_patches or 1), models.find_token_size(model), strict=True
        )
        down, across = (patches * pixels for patches, pixels in sides)
        expected = find_shapes(model, inferred.num_classes, (down, across))
    except ConfigError as error:
        message = trees.make_printable(str(error).replace("config.model.", ""), 400)
        raise ConfigError(f"{found.what}: {message}") from error
    return dataclasses.replace(inferred, model=model), grid, expected


def _find_grid(
    model: ModelConfig, num_patches: int | None, size: tuple[int, int] | None
) -> Grid | None:
    """Returns the grid of so many patches: the image's, or else a square."""
    if size is not None and num_patches is not None:
        sides = zip(size, models.find_token_size(model), strict=True)
        down, across = (pixels // unit for pixels, unit in sides)
        if down * across == num_patches:
            return down, across
    return find_square_grid(num_patches)


def _make_checkpoint(
    file_format: str,
    tree: Mapping[str, Lazy],
    inferred: Inferred,
    grid: Grid | None,
    metadata: Metadata,
) -> Checkpoint:
    model, notes = inferred.model, [*inferred.notes, *metadata.notes]
    if grid is None and inferred.num_patches is not None:
        notes.append(
            f"its {inferred.num_patches} patches are not a square, and the file does not "
            "give their rows and columns"
        )
    names = metadata.class_names
    if names is not None and len(names) != inferred.num_classes:
        names = None
        notes.append("its class names are not as many as its classes, and are left out")
    return Checkpoint(
        format=file_format,
        tensors=tree,
        model=model,
        num_classes=inferred.num_classes,
        grid=grid,
        preprocessing=_complete_preprocessing(model, grid, metadata.preprocessing),
        class_names=names,
        notes=tuple(notes),
        loss=metadata.loss or SOFTMAX,
    )


def _complete_preprocessing(
    model: ModelConfig, grid: Grid | None, fields: Mapping[str, Any]
) -> Preprocessing | None:
    fields = dict(fields)
    if grid is not None:  # what the weights were trained for last
        down, across = models.find_token_size(model)
        fields["image_size"] = (grid[0] * down, grid[1] * across)
    return Preprocessing(**fields) if fields.get("image_size") else None
