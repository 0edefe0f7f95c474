"""Calibration: whether a model's confidence equals its accuracy."""

from typing import Any

import numpy as np

from vit_jax.evaluators.subject import Subject, collect
from vit_jax.infer.predict import compute_probabilities

NUM_BINS = 15  # as in section 5 of the paper


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns the calibration error, mean confidence and accuracy, and the bins.

    Raises:
      ConfigError: as `subject.collect`.
    """
    found = collect(subject, "logits")
    scores = np.asarray(compute_probabilities(subject.loaded, found.values))
    confidence = scores.max(axis=1)
    is_right = scores.argmax(axis=1) == found.labels
    return {
        **compute_reliability(confidence, is_right),
        "confidence_mean": float(confidence.mean()),
        "accuracy_mean": float(is_right.mean()),
        "count": len(is_right),
    }


def compute_reliability(
    confidence: np.ndarray, is_right: np.ndarray, num_bins: int = NUM_BINS
) -> dict[str, Any]:
    """Returns the expected calibration error and the bins of the reliability diagram.

    Guo et al. 2017 (arXiv:1706.04599), equations 1 to 3: predictions are grouped by
    confidence into bins ((m - 1) / M, m / M]. The error (ECE) is the mean, over all
    predictions, of the gap between accuracy and mean confidence of their bin.

    Args:
      confidence: probability of the predicted class, float [n] in [0, 1].
      is_right: whether the prediction is correct, bool [n].
      num_bins: M; all bins have the same width.

    Returns:
      ``ece`` in [0, 1], and ``bins``: for each its bounds ``low`` and ``high``, its
      ``count``, and the mean ``confidence`` and ``accuracy``, None where it is empty.
    """
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    filled = np.maximum(counts, 1)
    confident = np.bincount(bins, confidence.astype(np.float64), num_bins) / filled
    accurate = np.bincount(bins, is_right.astype(np.float64), num_bins) / filled
    gaps = np.abs(accurate - confident)
    return {
        "ece": float((counts * gaps).sum() / counts.sum()),
        "bins": [
            {
                "low": m / num_bins,
                "high": (m + 1) / num_bins,
                "count": int(counts[m]),
                "confidence": float(confident[m]) if counts[m] else None,
                "accuracy": float(accurate[m]) if counts[m] else None,
            }
            for m in range(num_bins)
        ],
    }
