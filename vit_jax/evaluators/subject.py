"""What an evaluator evaluates: a model on a split, as logits or features in memory."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vit_jax.checkpoints.load import load, make_function
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.config import DataConfig
from vit_jax.data import loader, sources
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import check_classes
from vit_jax.infer.features import make_feature_function
from vit_jax.mesh.sharding import find_batch_share, shard_batch
from vit_jax.models.apply import apply_model


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model and the data that it is evaluated on.

    Attributes:
      loaded: the model.
      data: config of the data.
      split: the split that is evaluated.
      train_split: the split that few-shot, nearest-neighbour and linear probes learn from.
      labels: file of labels that replace those of the split; see `real`.
    """

    loaded: Loaded
    data: DataConfig
    split: str
    train_split: str
    labels: Path | None = None


class Collected(NamedTuple):
    """The outputs of a model for the readable images of a split, in order.

    Attributes:
      values: logits or features, float32 [n, ...].
      labels: classes of the images, int64 [n].
      indices: positions of the images in the source, int64 [n].
      source: the images, with their names and classes.
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
    """Opens what is evaluated; the arguments are those of `evaluators.run_evaluator`.

    Raises:
      ConfigError: there is no such checkpoint, or its data is unknown and ``source`` is
        not given.
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
    """Computes logits [n, y] or features [n, d] of each image that can be read.

    Args:
      subject: what is evaluated.
      what: ``logits`` or ``features``.
      split: of the data; None: the split that is evaluated.

    Raises:
      ConfigError: there is no such split, its classes are not the model's (for logits),
        or its images have several labels each.
    """
    loaded, data = subject.loaded, subject.data
    source = sources.make_source(data, split or subject.split)
    if source.multi_label:
        raise ConfigError(
            "the data must have one label per image for this evaluator, got several; "
            "run `vit-jax eval` without --evaluator"
        )
    if what == "logits":
        loaded.need_head()
        check_classes(loaded, source)
        function = _make_logits_function(loaded)
    else:
        function = make_feature_function(loaded)
    compiled = make_function(loaded, function)
    index, count = find_batch_share(loaded.mesh)
    batches = loader.make_eval_batches(
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


def _make_logits_function(loaded: Loaded) -> Callable[[Any, Any], jax.Array]:
    return lambda params, inputs: apply_model(loaded.model, params, inputs, train=False)


def _gather(array: jax.Array) -> np.ndarray:
    """Returns the rows of all hosts."""
    if jax.process_count() == 1:
        return jax.device_get(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def check_flat(features: np.ndarray) -> None:
    """Checks that features are [n, d].

    Raises:
      ConfigError: there is not one vector per image.
    """
    if features.ndim != 2:
        raise ConfigError(
            "features must be one vector per image for this evaluator, got one per "
            "token; use a model that pools its tokens"
        )


def find_class_name(source: sources.Source, label: int) -> str:
    """Returns the name of a class, or its index as text if the source has no names."""
    return source.class_names[label] if source.class_names else str(label)
