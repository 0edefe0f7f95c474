"""What an evaluator looks at: a model on a split, as logits or features in memory."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vit_jax.checkpoints.load import Loaded, load, make_function
from vit_jax.config import DataConfig
from vit_jax.data import loader, sources
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import check_classes
from vit_jax.infer.features import make_feature_function
from vit_jax.mesh.sharding import find_batch_share, shard_batch
from vit_jax.models.apply import apply_model


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model, the split that it is evaluated on, and the one to learn from.

    Attributes:
      labels: path of a file of labels that stand over the split's own; see `real`.
    """

    loaded: Loaded
    data: DataConfig
    split: str
    train_split: str
    labels: Path | None = None


class Collected(NamedTuple):
    """What a function makes of every image of a split, in order.

    Attributes:
      values: float32 [n, ...].
      labels: int64 [n].
      indices: int64 [n], of the images in the source.
      source: the images, their names and their classes.
    """

    values: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    source: sources.Source


def open_subject(
    checkpoint: str | Path | Loaded,
    split: str | None = None,
    source: str | None = None,
    train_split: str | None = None,
    labels: str | Path | None = None,
) -> Subject:
    """Returns the subject; see `evaluators.run_evaluator`.

    Raises:
      ConfigError: no such checkpoint, or its data is not known.
    """
    loaded = checkpoint if isinstance(checkpoint, Loaded) else load(checkpoint)
    data = loaded.data(source)
    return Subject(
        loaded,
        data,
        split or data.eval_split,
        train_split or data.train_split,
        Path(labels) if labels else None,
    )


def collect(subject: Subject, what: str, split: str | None = None) -> Collected:
    """Returns logits [n, y] or features [n, d] of each image that can be read.

    Args:
      subject: what is evaluated.
      what: ``logits`` or ``features``.
      split: None: the one that is evaluated.

    Raises:
      ConfigError: no such split, other classes than the model's (for logits), or
        images with several labels.
    """
    loaded, data = subject.loaded, subject.data
    source = sources.make_source(data, split or subject.split)
    if source.multi_label:
        raise ConfigError(
            "the data must have one label an image for this evaluator, got several; "
            "use `vit-jax eval` without --evaluator"
        )
    if what == "logits":
        loaded.need_head()
        check_classes(loaded, source)

        function = _logits(loaded)
    else:
        function = make_feature_function(loaded)

    compiled = make_function(loaded, function)
    index, count = find_batch_share(loaded.mesh)
    batches = loader.eval_batches(
        source, data, process_index=index, process_count=count
    )
    parts, labels, masks = [], [], []
    for batch in batches:
        batch = shard_batch(batch, loaded.mesh)
        parts.append(jax.device_get(compiled(batch["image"])))
        labels.append(_gather(batch["label"]))
        masks.append(_gather(batch["mask"]))
    mask = np.concatenate(masks)
    return Collected(
        np.concatenate(parts)[mask],
        np.concatenate(labels)[mask].astype(np.int64),
        np.flatnonzero(mask),
        source,
    )


def _logits(loaded: Loaded) -> Callable[[Any, Any], jax.Array]:
    return lambda params, inputs: apply_model(loaded.model, params, inputs, train=False)


def _gather(array: jax.Array) -> np.ndarray:
    """Returns the rows of all hosts."""
    if jax.process_count() == 1:
        return jax.device_get(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def check_flat(features: np.ndarray) -> None:
    """Raises ConfigError unless there is one vector an image."""
    if features.ndim != 2:
        raise ConfigError(
            "features must be one vector an image for this evaluator, got one a token; "
            "use a model that pools"
        )


def find_class_name(source: sources.Source, label: int) -> str:
    """Returns what a class is called, its number where it has no name."""
    return source.class_names[label] if source.class_names else str(label)
