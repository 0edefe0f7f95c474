"""A run of ours as a checkpoint: Orbax's arrays, and the card that says what they are."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np

from vit_jax import models
from vit_jax.checkpoints import trees
from vit_jax.checkpoints.card import read_model_config, read_step_card
from vit_jax.checkpoints.files.orbax_files import (
    holds_average,
    list_arrays,
    read_array,
    report_damage,
)
from vit_jax.checkpoints.lazy import Lazy, Rows, Stored
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.checkpoints.stacked import unstack_layers
from vit_jax.config import PLAIN, ModelConfig, Preprocessing
from vit_jax.config.typed import from_dict
from vit_jax.models.shapes import find_shapes, find_stacked_shapes

_ADVICE = (
    "it was written by another version of the model; use the version that wrote it, "
    "which its card names"
)


def read_step(step: Path) -> Checkpoint:
    """Returns the checkpoint of one step of a run; no array is read yet.

    The model's layers are a loop, whatever they were in training; the parameters are
    their average, where the run kept one.

    Raises:
        ConfigError: its card is damaged, or its arrays are not those of its model.
    """
    card = read_step_card(step)
    with report_damage(step):
        saved = read_model_config(card)
        sizes = from_dict(Preprocessing, card["preprocessing"], "card.preprocessing")
        num_classes, names = card["num_classes"], card["class_names"]
        loss = card["config"]["train"].get("loss", SOFTMAX)
    # Plain before it is resolved: this machine need not have what the run used.
    model = models.resolve_model(dataclasses.replace(saved, **PLAIN))
    sides = zip(sizes.image_size, models.find_token_size(model), strict=True)
    down, across = (size // unit for size, unit in sides)
    average = holds_average(step)
    folder = step / ("ema" if average else "params")
    tensors = _open_arrays(
        folder, model, num_classes, sizes.image_size, is_stacked=saved.scan
    )
    return Checkpoint(
        format="vit_jax",
        tensors=tensors,
        model=model,
        num_classes=num_classes,
        grid=(down, across),
        preprocessing=sizes,
        class_names=tuple(names) if names else None,
        notes=("the average of the parameters, which the run kept",) * average,
        loss=loss,
        card=card,
    )


def _open_arrays(
    folder: Path,
    model: ModelConfig,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    is_stacked: bool,
) -> dict[str, Lazy]:
    """Returns the arrays under canonical names, once they are all there and no others.

    Raises:
        MismatchError: it names what is missing, what is left over and what differs.
    """
    find = find_stacked_shapes if is_stacked else find_shapes
    expected = find(model, num_classes, image_size)
    found = list_arrays(folder)
    trees.check_tree(found, expected, f"checkpoint {folder.parent}", _ADVICE)
    arrays = {name: _make_lazy(folder, name, found[name]) for name in expected}
    if not is_stacked:
        return arrays
    arrays = unstack_layers(arrays, str(folder))
    return {name: arrays[name] for name in find_shapes(model, num_classes, image_size)}


def _make_lazy(folder: Path, name: str, array: jax.ShapeDtypeStruct) -> Lazy:
    @functools.cache  # for a stack, which is read layer by layer
    def whole() -> np.ndarray:
        return read_array(folder, name, array.shape)

    def read(rows: Rows | None) -> np.ndarray:
        return whole.__wrapped__() if rows is None else whole()[slice(*rows)]

    stored = Stored(folder, name, array.shape)
    return Lazy(array.shape, np.dtype(array.dtype), read, (stored,))
