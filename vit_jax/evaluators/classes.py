"""Which classes are told from which: per-class accuracy and the confusion matrix."""

import math
from typing import Any

import numpy as np

from vit_jax.evaluators.subject import Subject, collect, find_class_name


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 with its 95% interval, and a row for each class, the worst first.

    ``mean_class_accuracy`` counts every class the same, however many images it has.
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
    """Returns how often class i was called j: int64 [y, y]."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def compute_wilson_interval(hits: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Returns the interval in which the true share lies, by default with 95%.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference":
    unlike the normal interval it stays within [0, 1] and works for shares near 0 and 1.

    Args:
      hits: successes.
      count: trials; more than 0.
      z: the quantile of the standard normal distribution.
    """
    share = hits / count
    scale = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
