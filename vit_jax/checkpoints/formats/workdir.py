"""Our own checkpoints: Orbax's arrays, and the card that says what they are."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax import models
from vit_jax.checkpoints import layout, trees
from vit_jax.checkpoints.layers import stack_layers, unstack_layers
from vit_jax.checkpoints.lazy import Lazy, Rows, Shape, make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import PLAIN, ModelConfig, Preprocessing
from vit_jax.config.file import from_dict
from vit_jax.errors import ConfigError
from vit_jax.storage import bucket

_FOLDER = "checkpoints"  # of a workdir; the steps are in it


def find(path: Path) -> Path | None:
    """Returns the folder of the newest finished step in a workdir, or of this step."""
    if path.parent.name == _FOLDER and path.name.isdecimal():
        return path if _is_whole(path) else None
    if not bucket.has_folder(path / _FOLDER):
        return None
    steps = [p for p in (path / _FOLDER).iterdir() if p.name.isdecimal()]
    return max(filter(_is_whole, steps), key=lambda p: int(p.name), default=None)


def _is_whole(step: Path) -> bool:
    """Returns whether all of a step is written: Orbax says so in a bucket by a file."""
    if bucket.is_bucket(step):
        return (step / "commit_success.txt").exists()
    return (step / "card").is_dir()


def read(folder: Path) -> Checkpoint:
    """Returns the checkpoint of one step; nothing is read yet.

    Raises:
        ConfigError: its card is damaged.
    """
    import orbax.checkpoint as ocp  # seconds to import, and only needed here

    folder = bucket.make_absolute(folder)
    try:
        card = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(folder / "card")
        fields = {**card["model"], **PLAIN}
        model = models.resolve_model(from_dict(ModelConfig, fields, "card.model"))
        is_stacked = bool(card["model"].get("scan"))
        preprocessing = from_dict(
            Preprocessing, card["preprocessing"], "card.preprocessing"
        )
        num_classes, names = card["num_classes"], card["class_names"]
    except ConfigError:
        raise
    except Exception as error:  # Orbax raises many kinds
        raise ConfigError(f"{folder} has no card that can be read; train again") \
            from error  # fmt: skip
    sides = zip(preprocessing.image_size, models.find_token_size(model), strict=True)
    down, across = (size // unit for size, unit in sides)
    shapes = layout.shapes(model, num_classes, (down, across))
    averaged = bucket.has_folder(folder / "ema")
    tensors = _tensors(folder / ("ema" if averaged else "params"), shapes, is_stacked)
    return Checkpoint(
        format="vit_jax",
        tensors={name: tensors[name] for name in shapes},
        model=model,
        num_classes=num_classes,
        grid=(down, across),
        preprocessing=preprocessing,
        class_names=tuple(names) if names else None,
        notes=("the average of the parameters, which the run kept",) * averaged,
    )


def _tensors(
    folder: Path, shapes: Mapping[str, Shape], is_stacked: bool
) -> dict[str, Lazy]:
    if not is_stacked:
        return {name: _lazy(folder, name, shape) for name, shape in shapes.items()}
    # Only the shapes of these are used.
    empty = {k: make_lazy(np.broadcast_to(np.float32(0), s)) for k, s in shapes.items()}
    stacks = {k: _lazy(folder, k, t.shape) for k, t in stack_layers(empty).items()}
    return unstack_layers(stacks, str(folder))


def _lazy(folder: Path, name: str, shape: Shape) -> Lazy:
    @functools.cache  # for a stack, which is read layer by layer
    def whole() -> np.ndarray:
        array = _restore(folder, name)
        if array.shape != shape:
            raise trees.MismatchError(
                str(folder),
                "was it written whole?",
                shapes={name: (array.shape, shape)},
            )
        return array

    def read(rows: Rows | None) -> np.ndarray:
        if rows is None:
            return whole.__wrapped__()
        return whole()[slice(*rows)]

    return Lazy(shape, np.dtype(np.float32), read)


def _restore(folder: Path, name: str) -> np.ndarray:
    """Reads one array of the step."""
    import orbax.checkpoint as ocp

    as_array = ocp.RestoreArgs(restore_type=np.ndarray)
    arguments = ocp.args.PyTreeRestore(
        item=trees.nest({name: np.empty(())}),
        restore_args=trees.nest({name: as_array}),
        partial_restore=True,
    )
    try:
        found: Mapping[str, Any] = ocp.PyTreeCheckpointer().restore(
            folder, args=arguments
        )
    except Exception as error:  # Orbax raises many kinds
        raise ConfigError(f"{folder}: {name} cannot be read: {error}") from error
    for part in name.split("/"):
        found = found[part]
    return np.asarray(found)
