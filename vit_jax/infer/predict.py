"""Classifying image files: class names and probabilities, from a checkpoint alone."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints.load import load_here, make_function
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.checkpoints.record import SIGMOID
from vit_jax.infer.image_files import Outcome, find_images, map_files
from vit_jax.models.apply import apply_model

__all__ = ["Prediction", "Predictor", "compute_probabilities", "find_images"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The most likely classes of one image, best first.

    Attributes:
      path: the image file.
      labels: indices of the classes.
      names: names of the classes; the index as text where the model has no names.
      probabilities: of the classes, in [0, 1].
      error: why the file could not be read; None if it could.
    """

    path: str
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


class Predictor:
    """Classifies image files with a trained model and its checkpoint's preprocessing.

    Args:
      checkpoint: a workdir, a checkpoint file of any format, or the name of published
        weights.
      batch_size: images per batch.

    Raises:
      ConfigError: there is no such checkpoint, or the model has no head.

    Example:
      >>> predictor = Predictor("runs/digits")
      >>> predictor.predict(["seven.png"])[0].names
    """

    def __init__(self, checkpoint: str | Path, batch_size: int = 32) -> None:
        self.loaded = load_here(checkpoint)
        self.loaded.need_head()
        self._batch_size = batch_size

        def classify(params: Any, inputs: Any) -> jax.Array:
            logits = apply_model(self.loaded.model, params, inputs, train=False)
            return compute_probabilities(self.loaded, logits)

        self._classify = make_function(self.loaded, classify)

    def predict(self, paths: Iterable[str | Path], top_k: int = 5) -> list[Prediction]:
        """Returns a prediction for each path, in order.

        For a file that cannot be read, the prediction has only its ``error``.

        Args:
          paths: image files.
          top_k: number of classes per image; at most all classes are returned.
        """
        return [
            Prediction(path, error=error) if error else self.name(path, *value)
            for path, value, error in self.find_best(paths, top_k)
        ]

    def find_best(self, paths: Iterable[str | Path], top_k: int) -> Iterator[Outcome]:
        """Yields an outcome per path: labels and probabilities of the best classes.

        They are int32 [top_k] and float32 [top_k], best first.
        """
        for outcome in map_files(self._classify, self.loaded, paths, self._batch_size):
            scores = outcome.value
            if scores is not None:
                labels = np.argsort(-scores, kind="stable")[:top_k].astype(np.int32)
                outcome = outcome._replace(value=(labels, scores[labels]))
            yield outcome

    def name(self, path: str, labels: np.ndarray, scores: np.ndarray) -> Prediction:
        """Returns the labels and probabilities of one path as a prediction, with names."""
        names = self.loaded.class_names
        return Prediction(
            path=path,
            labels=tuple(int(i) for i in labels),
            names=tuple(names[i] if names else str(i) for i in labels),
            probabilities=tuple(float(score) for score in scores),
        )


def compute_probabilities(loaded: Loaded, logits: jax.Array | np.ndarray) -> jax.Array:
    """Returns probabilities [..., y] from logits [..., y].

    They are sigmoids where the model was trained with the sigmoid loss, and the softmax
    otherwise.
    """
    return jax.nn.sigmoid(logits) if loaded.loss == SIGMOID else jax.nn.softmax(logits)
