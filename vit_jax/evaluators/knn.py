"""Weighted k-nearest-neighbour classification of frozen features, as in DINO.

Caron et al. 2021 (arXiv:2104.14294), appendix F.1, after Wu et al. 2018
(arXiv:1805.01978), section 3.4: the k = 20 training images with the largest cosine
similarity vote for their class with weight exp(similarity / 0.07).
"""

from typing import Any

import numpy as np

from vit_jax.evaluators.subject import Subject, check_flat, collect

K = 20
TEMPERATURE = 0.07
_SIMILARITIES = 2**26  # in memory at once, 8 bytes each


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 of the votes of the training images.

    Raises:
      ConfigError: as `subject.collect`, or the model does not pool its features.
    """
    train = collect(subject, "features", subject.train_split)
    test = collect(subject, "features")
    check_flat(train.values)
    found = count_votes(
        train.values, train.labels, test.values, train.source.num_classes
    )
    return {
        "top1": float((found.argmax(axis=1) == test.labels).mean()),
        "k": min(K, len(train.labels)),
        "temperature": TEMPERATURE,
        "neighbours": len(train.labels),
        "count": len(test.labels),
    }


def count_votes(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    k: int = K,
    temperature: float = TEMPERATURE,
) -> np.ndarray:
    """Returns the total weight of each class among the neighbours: float64 [n, y].

    Args:
      train: features of the images that vote, float [m, d].
      labels: classes of the images that vote, int [m].
      test: features to classify, float [n, d].
      num_classes: y.
      k: number of neighbours that vote; at most m.
      temperature: a vote weighs exp(similarity / temperature).
    """
    train, test = _normalize(train), _normalize(test)
    k = min(k, len(train))
    chunk = max(1, _SIMILARITIES // len(train))
    out = np.zeros((len(test), num_classes))
    for start in range(0, len(test), chunk):
        similarity = test[start : start + chunk] @ train.T
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        weights = np.exp(np.take_along_axis(similarity, nearest, axis=1) / temperature)
        rows = np.arange(start, start + len(similarity))[:, None]
        np.add.at(out, (rows, labels[nearest]), weights)
    return out


def _normalize(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
