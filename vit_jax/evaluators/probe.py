"""A linear probe: logistic regression on frozen features.

Radford et al. 2021 (arXiv:2103.00020), appendix A.3: L-BFGS, at most 1,000 iterations, the
regulariser chosen on held-out training images; then trained on all of them.
"""

from typing import Any

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.evaluators.subject import Subject, check_flat, collect

# Inverse strengths, spaced by decades; of standardised features.
GRID = tuple(10.0**i for i in range(-4, 3))
_MAX_ITERATIONS = 1000


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns top-1 with its 95% interval; the evaluated split is seen once, at last."""
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
    """Returns the classes of the test features, int [n], and the inverse strength.

    Args:
      x: features [m, d] to learn from.
      labels: int [m].
      test: features [n, d].

    Raises:
      ConfigError: there is one class, or a class has fewer than two images.
    """
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2:
        raise ConfigError(
            f"a linear probe must have two classes to tell apart, got {len(counts)}"
        )
    if counts.min() < 2:
        raise ConfigError(
            "a linear probe must have two training images of each class, got one of "
            "some; choose a larger --train_split"
        )
    share = max(0.2, len(np.unique(labels)) / len(labels))
    parts: Any = train_test_split(
        x, labels, test_size=share, random_state=0, stratify=labels
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
