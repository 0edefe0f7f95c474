"""A linear probe: logistic regression on frozen features.

Radford et al. 2021 (arXiv:2103.00020), appendix A.3: L-BFGS with at most 1,000 iterations.
The regulariser is chosen on held-out training images, then the probe is fitted to all of
them.
"""

from typing import Any

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.evaluators.subject import Subject, check_flat, collect

# Inverse strengths of the regulariser, for standardised features.
GRID = tuple(10.0**i for i in range(-4, 3))
_MAX_ITERATIONS = 1000


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 with its 95% interval; the evaluated split is used only once.

    Raises:
      ConfigError: as `subject.collect` and `fit_and_predict`, or the model does not pool
        its features.
    """
    train = collect(subject, "features", subject.train_split)
    test = collect(subject, "features")
    check_flat(train.values)
    answers, chosen = fit_and_predict(train.values, train.labels, test.values)
    hits = int((answers == test.labels).sum())
    low, high = compute_wilson_interval(hits, len(test.labels))
    return {
        "top1": hits / len(test.labels),
        "top1_low": low,
        "top1_high": high,
        "regularization": chosen,
        "count": len(test.labels),
    }


def fit_and_predict(
    x: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, float]:
    """Fits a probe; returns predicted classes, int [n], and the chosen strength.

    Args:
      x: training features, float [m, d].
      labels: their classes, int [m].
      test: features to classify, float [n, d].

    Returns:
      The classes, and the inverse strength of the regulariser.

    Raises:
      ConfigError: there is only one class, or a class has fewer than two images.
    """
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2:
        raise ConfigError(
            "the training images of a linear probe must have at least two classes, got "
            f"{len(counts)}; choose another --train_split"
        )
    if counts.min() < 2:
        raise ConfigError(
            "a linear probe must have at least two training images of each class, got a "
            "class with one; choose a larger --train_split"
        )
    held_out = max(0.2, len(np.unique(labels)) / len(labels))  # a fraction
    parts: Any = train_test_split(
        x, labels, test_size=held_out, random_state=0, stratify=labels
    )
    fit_x, held_x, fit_y, held_y = parts
    accuracies = [_fit(fit_x, fit_y, c).score(held_x, held_y) for c in GRID]
    best = GRID[int(np.argmax(accuracies))]
    return _fit(x, labels, best).predict(test), best


def _fit(x: np.ndarray, labels: np.ndarray, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS)
    return make_pipeline(StandardScaler(), regression).fit(x, labels)
