"""From image files to class names and probabilities; needs only a checkpoint."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints.load import Loaded, load_here, make_function
from vit_jax.infer.image_files import Outcome, find_images, map_files
from vit_jax.models.apply import apply_model

__all__ = ["Prediction", "Predictor", "compute_probabilities", "find_images"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image, best first, or why there are none."""

    path: str
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


class Predictor:
    """A trained model applied to image files, with the checkpoint's preprocessing.

    Args:
      checkpoint: a workdir, a checkpoint file of any format, or the name of published
        weights.
      batch_size: images that are classified at once.

    Raises:
      ConfigError: there is no checkpoint, or it has no head.

    Example:
      >>> predictor = Predictor("runs/digits")
      >>> predictor.predict(["seven.png"])[0].names
    """

    def __init__(self, checkpoint: str | Path, batch_size: int = 32):
        self.loaded = load_here(checkpoint)
        self.loaded.need_head()
        self._batch_size = batch_size

        def classify(params: Any, inputs: Any) -> jax.Array:
            logits = apply_model(self.loaded.model, params, inputs, train=False)
            return compute_probabilities(self.loaded, logits)

        self._classify = make_function(self.loaded, classify)

    def predict(self, paths: Iterable[str | Path], top_k: int = 5) -> list[Prediction]:
        """Returns a prediction for each path, in order.

        A file that cannot be read has its ``error`` set; the others are predicted.

        Args:
          paths: of image files.
          top_k: how many classes to name; at most all are.
        """
        return [
            Prediction(path, error=error) if error else self.name(path, *value)
            for path, value, error in self.best(paths, top_k)
        ]

    def best(self, paths: Iterable[str | Path], top_k: int) -> Iterator[Outcome]:
        """Yields for each path the labels and probabilities of its likeliest classes.

        They are int32 [top_k] and float32 [top_k], best first.
        """
        for outcome in map_files(self._classify, self.loaded, paths, self._batch_size):
            scores = outcome.value
            if scores is not None:
                labels = np.argsort(-scores, kind="stable")[:top_k].astype(np.int32)
                outcome = outcome._replace(value=(labels, scores[labels]))
            yield outcome

    def name(self, path: str, labels: np.ndarray, scores: np.ndarray) -> Prediction:
        """Returns what `best` found of a path as a prediction."""
        names = self.loaded.class_names
        return Prediction(
            path=path,
            labels=tuple(int(i) for i in labels),
            names=tuple(names[i] if names else str(i) for i in labels),
            probabilities=tuple(float(score) for score in scores),
        )


def compute_probabilities(loaded: Loaded, logits: jax.Array | np.ndarray) -> jax.Array:
    """Returns what the loss that the model was trained with makes of its logits."""
    return (
        jax.nn.sigmoid(logits) if loaded.loss == "sigmoid" else jax.nn.softmax(logits)
    )
