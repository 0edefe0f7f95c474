"""Few-shot linear accuracy: regularised least squares on frozen features.

Dosovitskiy et al. 2021 (arXiv:2010.11929), section 4.1 and appendix D.5: a linear map from
features to {-1, 1} per class, fitted in closed form to a few images per class. Whitening,
bias, grid and choice of the regulariser are those of big_vision's fewshot_lsr.
"""

from typing import Any, NamedTuple

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.subject import Subject, check_flat, collect

SHOTS = (1, 5, 10, 25)
L2_GRID = tuple(2.0**i for i in range(-10, 20))
NUM_SEEDS = 3
_BIAS = 100.0  # constant feature; so large that the regulariser hardly affects it


class LeastSquares(NamedTuple):
    """A least-squares problem, decomposed so that any regulariser is cheap to apply.

    The weights are ``left @ diag(1 / (eigenvalues + l2)) @ right``, float64 [d + 1, y].

    Attributes:
      mean: of the training features, [d].
      std: standard deviation of the training features, [d].
      left: [d + 1, r].
      eigenvalues: [r].
      right: [r, y].
    """

    mean: np.ndarray
    std: np.ndarray
    left: np.ndarray
    eigenvalues: np.ndarray
    right: np.ndarray


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns accuracy by number of images per class, the mean of three random draws.

    As in big_vision, the regulariser is the one with the best accuracy on the evaluated
    split itself, which makes the numbers slightly optimistic.

    Raises:
      ConfigError: as `subject.collect`, or the training split lacks a class.
    """
    train = collect(subject, "features", subject.train_split)
    test = collect(subject, "features")
    check_flat(train.values)
    num_classes = train.source.num_classes
    fewest = int(np.bincount(train.labels, minlength=num_classes).min())
    values: dict[str, Any] = {}
    for shots in SHOTS:
        if shots > fewest:
            break
        accuracies = np.zeros((NUM_SEEDS, len(L2_GRID)))
        for seed in range(NUM_SEEDS):
            chosen = draw_examples(train.labels, shots, seed)
            solved = solve_least_squares(
                train.values[chosen], train.labels[chosen], num_classes
            )
            for i, l2 in enumerate(L2_GRID):
                answers = compute_scores(solved, test.values, l2).argmax(axis=1)
                accuracies[seed, i] = (answers == test.labels).mean()
        best = int(accuracies.mean(axis=0).argmax())
        values[f"{shots}-shot"] = float(accuracies[:, best].mean())
        values[f"{shots}-shot_std"] = float(accuracies[:, best].std())
        values[f"{shots}-shot_l2"] = str(L2_GRID[best])
    if not values:
        raise ConfigError(
            f"split {subject.train_split} must have at least one image of each class, "
            "got a class without images; choose another --train_split"
        )
    return {**values, "count": len(test.labels)}


def draw_examples(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Returns the indices of ``shots`` random images of each class: int [shots * y].

    Args:
      labels: int [n].
      shots: images per class.
      seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    picked = [order[labels[order] == label][:shots] for label in np.unique(labels)]
    return np.concatenate(picked)


def solve_least_squares(
    x: np.ndarray, labels: np.ndarray, num_classes: int
) -> LeastSquares:
    """Decomposes a least-squares problem once, for all regularisers.

    Args:
      x: training features, float [n, d].
      labels: their classes, int [n].
      num_classes: y.
    """
    x = x.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-5
    x = _whiten(x, mean, std)
    y = 2.0 * np.eye(num_classes)[labels] - 1
    if len(x) >= x.shape[1]:
        eigenvalues, q = np.linalg.eigh(x.T @ x)
        return LeastSquares(mean, std, q, eigenvalues, q.T @ (x.T @ y))
    # The same solution, from the smaller [n, n] matrix.
    eigenvalues, q = np.linalg.eigh(x @ x.T)
    return LeastSquares(mean, std, x.T @ q, eigenvalues, q.T @ y)


def compute_scores(solved: LeastSquares, x: np.ndarray, l2: float) -> np.ndarray:
    """Returns a score for each class, float64 [n, y]; the largest is the prediction.

    Args:
      solved: the decomposed problem.
      x: features, float [n, d].
      l2: strength of the regulariser.
    """
    weights = (solved.left / (solved.eigenvalues + l2)) @ solved.right
    return _whiten(x.astype(np.float64), solved.mean, solved.std) @ weights


def _whiten(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return np.pad((x - mean) / std, ((0, 0), (0, 1)), constant_values=_BIAS)
