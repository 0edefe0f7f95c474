"""Pictures of a run: its curves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.figures.canvas import BLUE, GRAY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]


def curve(lines: Lines, kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values of what `metrics.jsonl` has under a name.

    Args:
      lines: as `metrics.read_metrics` returns them.
      kind: ``train`` or ``eval``.
      name: such as ``loss``.
    """
    found = [line for line in lines if line["kind"] == kind and name in line]
    steps = np.array([line["step"] for line in found], np.int64)
    return steps, np.array([line[name] for line in found], np.float64)


def draw_curves(lines: Lines, title: str) -> "Figure":
    """Draws loss, accuracy, learning rate and speed over the updates.

    Args:
      lines: as `metrics.read_metrics` returns them.
      title: names the run.
    """
    figure = new_figure(9.6, 6.2, title)
    (loss, accuracy), (rate, speed) = figure.subplots(2, 2)
    _plot(loss, lines, "train", "loss", BLUE, "training")
    _plot(loss, lines, "eval", "loss", ORANGE, "evaluation", marker="o")
    loss.set_ylabel("loss (nats)")
    for name, colour, label in (("top1", ORANGE, "top-1"), ("top5", GRAY, "top-5")):
        _plot(accuracy, lines, "eval", name, colour, label, marker="o", scale=100)
    accuracy.set_ylabel("accuracy (%)")
    _plot(rate, lines, "train", "learning_rate", BLUE, "learning rate")
    rate.set_ylabel("learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _plot(speed, lines, "train", "images_per_second", BLUE, "images/s")
    speed.set_ylabel("throughput (images/s)")
    speed.set_ylim(bottom=0)
    if len(curve(lines, "train", "mfu")[0]):
        right = speed.twinx()
        _plot(right, lines, "train", "mfu", ORANGE, "MFU", scale=100)
        right.set_ylabel("MFU (%)")
        right.set_ylim(0, None)
    for axes, name in (
        (loss, "Loss"),
        (accuracy, "Accuracy on the evaluation split"),
        (rate, "Learning rate"),
        (speed, "Throughput"),
    ):
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step (updates)")
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0] and axes in (loss, accuracy):
            axes.legend(fontsize=8, frameon=False)
    return figure


def _plot(
    axes: Any,
    lines: Lines,
    kind: str,
    name: str,
    colour: str,
    label: str,
    marker: str | None = None,
    scale: float = 1.0,
) -> None:
    steps, values = curve(lines, kind, name)
    if len(steps) == 1:
        marker = "o"  # a line of one point shows nothing
    if len(steps):
        axes.plot(steps, values * scale, color=colour, label=label, marker=marker,
                  markersize=3.5, linewidth=1.4)  # fmt: skip
