"""Pictures of predictions: confusion matrix, mistakes, reliability diagram."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.figures.canvas import BLUE, GRAY, ORANGE, make_figure, shorten, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 40  # with more classes, only some are named
_MOST_COUNTED = 15  # with more classes, cells have no numbers


def draw_confusion(matrix: np.ndarray, names: Sequence[str], title: str) -> "Figure":
    """Draws a confusion matrix: rows are true classes, columns predicted ones.

    Colours are percentages of the images of the true class.

    Args:
      matrix: counts, int [y, y]; see `evaluators.classes.count_confusion`.
      names: of the classes.
      title: names the model and the split.
    """
    count = len(matrix)
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(5.0, 0.38 * count + 2.6), 11.0)
    figure = make_figure(side + 1.2, side, title)
    axes = figure.subplots()
    shown = axes.imshow(
        percent, cmap="Blues", vmin=0, vmax=100, interpolation="nearest"
    )
    ticks = np.arange(0, count, -(-count // _MOST_NAMED))
    labels = [shorten(names[int(i)], 16) for i in ticks]
    turned = max(map(len, labels)) > 3
    axes.set_xticks(ticks, labels, rotation=90 if turned else 0, fontsize=8)
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if count <= _MOST_COUNTED:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if percent[i, j] > 55 else "black"
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8,
                      color=colour)  # fmt: skip
        axes.set_title("numbers: images per cell", fontsize=9)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="images of the true class (%)")
    return figure


def draw_mistakes(images: np.ndarray, captions: Sequence[str], title: str) -> "Figure":
    """Draws wrongly classified images, the most confident first.

    Args:
      images: uint8 [n, h, w, 3].
      captions: one per image, such as "5, predicted 3 (98%)".
      title: names the model and the split.
    """
    columns = min(5, max(len(images), 1))
    rows = max(1, -(-len(images) // columns))
    figure = make_figure(max(2.0 * columns + 0.4, 7.0), 2.3 * rows + 0.7, title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    if not len(images):
        grid[0, 0].text(0.5, 0.5, "no mistakes", ha="center", va="center")
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        axes.set_axis_on()
        show_image(axes, image, caption)
    return figure


def draw_reliability(values: dict[str, Any], title: str) -> "Figure":
    """Draws a reliability diagram: accuracy and number of images by confidence.

    Guo et al. 2017 (arXiv:1706.04599), Figure 1.

    Args:
      values: see `evaluators.calibration.compute_reliability`.
      title: names the model and the split.
    """
    bins = values["bins"]
    filled = [b for b in bins if b["count"]]
    width = bins[0]["high"] - bins[0]["low"]
    middles = [100 * (b["low"] + b["high"]) / 2 for b in filled]
    figure = make_figure(5.2, 5.6, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(middles, [100 * b["accuracy"] for b in filled], 100 * width, color=BLUE,
              edgecolor="white", label="accuracy")  # fmt: skip
    upper.plot([100 * b["confidence"] for b in filled],
               [100 * b["confidence"] for b in filled], "o", color=ORANGE, markersize=4,
               label="mean confidence")  # fmt: skip
    upper.plot([0, 100], [0, 100], "--", color=GRAY, lw=1, label="perfect calibration")
    upper.set_ylabel("accuracy (%)")
    upper.set_ylim(0, 100)
    upper.set_title(f"expected calibration error {values['ece']:.1%}", fontsize=9)
    upper.legend(fontsize=8, loc="upper left")
    lower.bar(middles, [b["count"] for b in filled], 100 * width, color=GRAY,
              edgecolor="white")  # fmt: skip
    lower.set_xlim(0, 100)
    lower.set_xlabel("confidence (%)")
    lower.set_ylabel("images")
    return figure
