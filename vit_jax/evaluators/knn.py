"""Weighted k nearest neighbours on frozen features, as DINO measures them.

Caron et al. 2021 (arXiv:2104.14294), appendix F.1, after Wu et al. 2018
(arXiv:1805.01978), section 3.4: cosine similarity, the k = 20 nearest images vote with
weight exp(similarity / 0.07).
"""

from typing import Any

import numpy as np

from vit_jax.evaluators.subject import Subject, check_flat, collect

K = 20
TEMPERATURE = 0.07
_SIMILARITIES = 2**26  # held at once, of 8 bytes


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 of the vote of the training images."""
    train = collect(subject, "features", subject.train_split)
    test = collect(subject, "features")
    check_flat(train.values)
    found = count_votes(train.values, train.labels, test.values, train.source.num_classes)
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
    """Returns the weight of the neighbours of each class: float64 [n, y].

    Args:
      train: features [m, d] of the images that vote.
      labels: their classes, int [m].
      test: features [n, d].
      num_classes: y.
      k: how many vote; at most m.
      temperature: a similarity this much larger weighs e times more.
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
