"""Accuracy per class, and the confusion matrix."""

import math
from typing import Any

import numpy as np

from vit_jax.evaluators.subject import Subject, collect, find_class_name


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 with its 95% interval, and a row for each class, the worst first.

    ``mean_class_accuracy`` weighs all classes equally, whatever their number of images.

    Raises:
      ConfigError: as `subject.collect`.
    """
    found = collect(subject, "logits")
    matrix = count_confusion(
        found.labels, found.values.argmax(axis=1), found.values.shape[1]
    )
    right, counts = np.diag(matrix), matrix.sum(axis=1)
    rows = []
    for label in np.flatnonzero(counts):
        hits, count = int(right[label]), int(counts[label])
        rows.append(
            {
                "label": int(label),
                "name": find_class_name(found.source, int(label)),
                "count": count,
                "accuracy": hits / count,
                "interval": compute_wilson_interval(hits, count),
            }
        )
    rows.sort(key=lambda row: row["accuracy"])
    low, high = compute_wilson_interval(int(right.sum()), int(counts.sum()))
    return {
        "top1": float(right.sum() / counts.sum()),
        "top1_low": low,
        "top1_high": high,
        "count": int(counts.sum()),
        "mean_class_accuracy": float(np.mean([row["accuracy"] for row in rows])),
        "worst_class": rows[0]["name"],
        "worst_class_accuracy": rows[0]["accuracy"],
        "classes": rows,
    }


def count_confusion(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> np.ndarray:
    """Returns the confusion matrix: int64 [y, y], rows true classes, columns predicted.

    Args:
      labels: true classes, int [n].
      predictions: predicted classes, int [n].
      num_classes: y.
    """
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def compute_wilson_interval(
    hits: int, count: int, z: float = 1.959963984540054
) -> tuple[float, float]:
    """Returns the (low, high) confidence interval of a proportion, by default at 95%.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    Unlike the normal approximation it stays within [0, 1] and is accurate near 0 and 1.

    Args:
      hits: number of successes.
      count: number of trials, at least 1.
      z: quantile of the standard normal distribution.
    """
    rate = hits / count
    scale = 1 + z**2 / count
    middle = (rate + z**2 / (2 * count)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
