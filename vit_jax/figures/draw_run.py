"""Pictures of a run: curves of loss, accuracy, learning rate and throughput."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.figures.canvas import BLUE, GRAY, ORANGE, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]


def make_curve(lines: Lines, kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the steps, int64 [n], and values, float64 [n], of a logged metric.

    Args:
      lines: of `metrics.jsonl`; see `metrics.read_metrics`.
      kind: ``train`` or ``eval``.
      name: of the metric, such as ``loss``.
    """
    found = [line for line in lines if line["kind"] == kind and name in line]
    steps = np.array([line["step"] for line in found], np.int64)
    return steps, np.array([line[name] for line in found], np.float64)


def draw_curves(lines: Lines, title: str) -> "Figure":
    """Draws all `PANELS`: loss, accuracy, learning rate and throughput by step.

    Args:
      lines: of `metrics.jsonl`; see `metrics.read_metrics`.
      title: names the run.
    """
    figure = make_figure(9.6, 6.2, title)
    for axes, name in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        PANELS[name](axes, lines)
        _label(axes, name)
    return figure


def draw_curve(lines: Lines, name: str) -> "Figure":
    """Draws one of `PANELS`.

    Args:
      lines: of `metrics.jsonl`; see `metrics.read_metrics`.
      name: of the panel; also its title.
    """
    figure = make_figure(4.8, 3.2, "")
    axes = figure.subplots()
    PANELS[name](axes, lines)
    _label(axes, name)
    return figure


def _draw_loss(axes: Any, lines: Lines) -> None:
    _plot(axes, lines, "train", "loss", BLUE, "training")
    _plot(axes, lines, "eval", "loss", ORANGE, "evaluation", marker="o")
    axes.set_ylabel("loss (nats)")


def _draw_accuracy(axes: Any, lines: Lines) -> None:
    for name, colour, label in (("top1", ORANGE, "top-1"), ("top5", GRAY, "top-5")):
        _plot(axes, lines, "eval", name, colour, label, marker="o", scale=100)
    axes.set_ylabel("accuracy (%)")


def _draw_learning_rate(axes: Any, lines: Lines) -> None:
    _plot(axes, lines, "train", "learning_rate", BLUE)
    axes.set_ylabel("learning rate")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))


def _draw_throughput(axes: Any, lines: Lines) -> None:
    _plot(axes, lines, "train", "images_per_second", BLUE)
    axes.set_ylabel("throughput (images/s)")
    _, speeds = make_curve(lines, "train", "images_per_second")
    top = 1.15 * max(speeds, default=1.0)
    axes.set_ylim(0, top)
    _, rates = make_curve(lines, "train", "mfu")
    if len(rates):  # a second scale for the same line
        right = axes.twinx()
        right.set_ylim(0, 100 * top * rates[-1] / speeds[-1])
        right.set_ylabel("MFU (%)")


PANELS: dict[str, Callable[[Any, Lines], None]] = {
    "Loss": _draw_loss,
    "Accuracy on the evaluation split": _draw_accuracy,
    "Learning rate": _draw_learning_rate,
    "Throughput": _draw_throughput,
}


def _label(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)


def _plot(
    axes: Any,
    lines: Lines,
    kind: str,
    name: str,
    colour: str,
    label: str = "",
    marker: str | None = None,
    scale: float = 1.0,
) -> None:
    steps, values = make_curve(lines, kind, name)
    if len(steps) == 1:
        marker = "o"  # a line of one point would be invisible
    if len(steps):
        axes.plot(steps, values * scale, color=colour, label=label, marker=marker,
                  markersize=3.5, linewidth=1.4)  # fmt: skip
