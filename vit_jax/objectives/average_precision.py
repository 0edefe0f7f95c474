"""Average precision: how well scores rank the images of a class above the others."""

import numpy as np
from jaxtyping import Float, UInt8


def average_precision(
    scores: Float[np.ndarray, " n"], labels: UInt8[np.ndarray, " n"]
) -> float:
    """Returns the mean, over the images of the class, of the precision down to each.

    Images of equal score share a rank, so that their order does not matter.

    Args:
      scores: of any scale; higher means more likely.
      labels: 1 for images of the class, at least one of them, else 0.

    Reference: Everingham et al., "The PASCAL Visual Object Classes Challenge" (2015),
    section 4.1, without its interpolation, as scikit-learn computes it.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    found = np.cumsum(labels[order], dtype=np.int64)
    # The last of each group of equal scores: a threshold can be there.
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    precision = found[ends] / (ends + 1)
    recalled = np.diff(found[ends], prepend=0)
    return float((precision * recalled).sum() / found[-1])


def mean_average_precision(
    scores: Float[np.ndarray, "n y"], labels: UInt8[np.ndarray, "n y"]
) -> float:
    """Returns the mean over the classes that have an image; 0 where none has."""
    classes = np.flatnonzero(labels.any(axis=0))
    values = [average_precision(scores[:, y], labels[:, y]) for y in classes]
    return float(np.mean(values)) if values else 0.0
