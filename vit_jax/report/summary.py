"""The numbers at the top of a report."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.figures import Album
from vit_jax.report.page import render_cards

Lines = Sequence[Mapping[str, Any]]
Card = tuple[str, str, str]  # value, name, remark


def render_summary(album: Album, lines: Lines, num_params: int) -> str:
    """Returns HTML of cards: accuracy, size of the model, speed, time.

    Args:
      album: of the run's checkpoint.
      lines: of `metrics.jsonl`.
      num_params: number of parameters of the model.
    """
    cards: list[Card] = []
    with contextlib.suppress(ConfigError):  # the sections of the page say why
        cards += _measure_accuracy(album)
    cards = cards or list(_read_accuracy(lines))
    cards.append((_format_millions(num_params), "parameters", ""))
    return render_cards([*cards, *_read_speed(lines)])


def list_values(lines: Lines, name: str) -> list[float]:
    """Returns all values of a training metric, in the order of their steps."""
    return [line[name] for line in lines if line["kind"] == "train" and name in line]


def _measure_accuracy(album: Album) -> list[Card]:
    matrix = album.count_confusion()
    hits, count = int(np.trace(matrix)), int(matrix.sum())
    low, high = compute_wilson_interval(hits, count)
    ece = album.measure_reliability()["ece"]
    return [
        (f"{hits / count:.2%}", "top-1", f"{100 * low:.1f} to {high:.1%} (95%)"),
        (f"{album.measure_top_k(5):.2%}", "top-5", ""),
        (f"{count:,}", "images evaluated", f"split {album.subject.split}"),
        (f"{ece:.1%}", "calibration error", "ECE, 15 bins"),
    ]


def _read_accuracy(lines: Lines) -> Iterator[Card]:
    """Yields the last evaluation of the run, where the data cannot be evaluated now."""
    evaluated = [line for line in lines if line["kind"] == "eval"]
    if evaluated:
        last = evaluated[-1]
        for name, shown in (("map", "mAP"), ("top1", "top-1"), ("top5", "top-5")):
            if name in last:
                yield f"{last[name]:.2%}", shown, f"at step {last['step']:,}"


def _read_speed(lines: Lines) -> Iterator[Card]:
    if speeds := list_values(lines, "images_per_second"):
        yield f"{np.median(speeds):,.0f}", "images/s", "median, training"
    if rates := list_values(lines, "mfu"):
        yield f"{np.median(rates):.1%}", "MFU", "median, training"
    for name, remark in (("goodput", "updates / wall time"), ("input_wait", "")):
        if values := list_values(lines, name):
            yield f"{values[-1]:.0%}", name.replace("_", " "), remark
    if elapsed := list_values(lines, "elapsed"):
        took = datetime.timedelta(seconds=round(elapsed[-1]))
        yield str(took), "wall time", "h:mm:ss"


def _format_millions(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number:,}"
