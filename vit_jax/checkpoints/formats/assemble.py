"""From arrays under canonical names, in any layout, to a `Checkpoint`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax import models
from vit_jax.checkpoints import layout, trees
from vit_jax.checkpoints.formats.infer import Inferred, Shapes, infer, square
from vit_jax.checkpoints.formats.metadata import Metadata
from vit_jax.checkpoints.layout import POSITION, Grid
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.checkpoints.trees import Rule
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError


def assemble_flax(
    file_format: str, tree: Mapping[str, Lazy], metadata: Metadata, what: str
) -> Checkpoint:
    """Returns the checkpoint whose arrays have canonical names and shapes already.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    found = Shapes({k: v.shape for k, v in tree.items()}, what, torch=False)
    inferred, grid = _understand(found, metadata)
    shapes = layout.shapes(inferred.model, inferred.num_classes, _any(inferred, grid))
    trees.check_tree(tree, shapes, what, _ADVICE)
    ordered = {name: tree[name] for name in shapes}
    return _checkpoint(file_format, ordered, inferred, grid, metadata)


def assemble_torch(
    file_format: str,
    tensors: Mapping[str, Lazy],
    rules: Iterable[Rule],
    metadata: Metadata,
    what: str,
) -> Checkpoint:
    """Returns the checkpoint whose arrays the rules rename and turn round.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    rules = list(rules)
    known = [rule for rule in rules if rule.theirs in tensors]
    shapes = {rule.ours[0]: tensors[rule.theirs].shape for rule in known}
    if len(shapes.get(POSITION, ())) == 2:
        shapes[POSITION] = (1, *shapes[POSITION])
    inferred, grid = _understand(Shapes(shapes, what, torch=True), metadata)
    expected = layout.shapes(inferred.model, inferred.num_classes, _any(inferred, grid))
    tree = trees.convert_from(tensors, rules, expected, what, _ADVICE)
    ordered = {name: tree[name] for name in expected}
    return _checkpoint(file_format, ordered, inferred, grid, metadata)


_ADVICE = "is the file complete, and of a model that is supported?"


def _understand(found: Shapes, metadata: Metadata) -> tuple[Inferred, Grid | None]:
    inferred = infer(found, metadata.fields)
    try:
        model = models.resolve_model(inferred.model)
    except ConfigError as error:
        message = trees.make_printable(str(error).replace("config.model.", ""), 400)
        raise ConfigError(f"{found.what}: {message}") from error
    num_patches = inferred.num_patches
    if num_patches is not None and num_patches < 1:
        raise ConfigError(
            f"{found.what} must have positions for patches, got {num_patches} of them"
        )
    grid = square(num_patches)
    size = metadata.preprocessing.get("image_size")
    if size is not None and num_patches is not None:
        down, across = (
            s // t for s, t in zip(size, models.find_token_size(model), strict=True)
        )
        grid = (down, across) if down * across == num_patches else grid
    return dataclasses.replace(inferred, model=model), grid


def _any(inferred: Inferred, grid: Grid | None) -> Grid:
    """Returns a grid of the right number of patches, for shapes alone.

    Where there is no position embedding to count, its shape does not matter: if there
    must be one, it is missing.
    """
    return grid or (1, inferred.num_patches or 1)


def _checkpoint(
    file_format: str,
    tree: Mapping[str, Lazy],
    inferred: Inferred,
    grid: Grid | None,
    metadata: Metadata,
) -> Checkpoint:
    model, notes = inferred.model, [*inferred.notes, *metadata.notes]
    if grid is None and inferred.num_patches is not None:
        notes.append(
            f"its {inferred.num_patches} patches are no square, and the file does not "
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
        preprocessing=_preprocessing(model, grid, metadata.preprocessing),
        class_names=names,
        notes=tuple(notes),
        loss=metadata.loss or SOFTMAX,
    )


def _preprocessing(
    model: ModelConfig, grid: Grid | None, fields: Mapping[str, Any]
) -> Preprocessing | None:
    fields = dict(fields)
    if grid is not None:  # what the weights were trained for last
        down, across = models.find_token_size(model)
        fields["image_size"] = (grid[0] * down, grid[1] * across)
    return Preprocessing(**fields) if fields.get("image_size") else None
