"""The sections of a report, each from an album of the run's checkpoint."""

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.figures import (
    PANELS,
    Album,
    draw_confusion,
    draw_curve,
    draw_kind,
    draw_reliability,
)
from vit_jax.report.page import (
    Section,
    make_thumbnail,
    render_cards,
    render_picture,
    render_table,
    render_text,
)
from vit_jax.training.events import read_events

Lines = Sequence[Mapping[str, Any]]

_MOST_CLASSES = 200  # in the confusion matrix; of more it would show nothing


def render_summary(album: Album, lines: Lines, num_params: int) -> str:
    """Returns boxes with the numbers that are asked for first."""
    boxes = []
    with contextlib.suppress(ConfigError):  # the sections below say why
        matrix = album.confusion()
        hits, count = int(np.trace(matrix)), int(matrix.sum())
        low, high = compute_wilson_interval(hits, count)
        interval = f"{100 * low:.1f} to {high:.1%} (95%)"
        ece = album.reliability()["ece"]
        boxes += [
            (f"{hits / count:.2%}", "top-1", interval),
            (f"{album.top(5):.2%}", "top-5", ""),
            (f"{count:,}", "images evaluated", f"split {album.subject.split}"),
            (f"{ece:.1%}", "calibration error", "ECE, 15 bins"),
        ]
    evaluated = [line for line in lines if line["kind"] == "eval"]
    if not boxes and evaluated:  # several labels, or the data has moved
        last = evaluated[-1]
        for name, shown in (("map", "mAP"), ("top1", "top-1"), ("top5", "top-5")):
            if name in last:
                boxes.append((f"{last[name]:.2%}", shown, f"at step {last['step']:,}"))
    boxes.append((_millions(num_params), "parameters", ""))
    speeds = _values(lines, "images_per_second")
    if speeds:
        boxes.append((f"{np.median(speeds):,.0f}", "images/s", "median, training"))
    rates = _values(lines, "mfu")
    if rates:
        boxes.append((f"{np.median(rates):.1%}", "MFU", "median, training"))
    for name, remark in (("goodput", "updates / wall time"), ("input_wait", "")):
        if values := _values(lines, name):
            boxes.append((f"{values[-1]:.0%}", name.replace("_", " "), remark))
    if elapsed := _values(lines, "elapsed"):
        took = datetime.timedelta(seconds=round(elapsed[-1]))
        boxes.append((str(took), "wall time", "h:mm:ss"))
    return render_cards(boxes)


def make_curves_section(lines: Lines) -> Section:
    shown = [render_picture(draw_curve(lines, name), name, "svg") for name in PANELS]
    note = ""
    if not _values(lines, "mfu"):
        note = "<p>No MFU: the peak of this device is not known.</p>"
    return Section("Curves", f'<div class="pair">{"".join(shown)}</div>{note}')


def make_classes_section(album: Album) -> Section:
    """Returns a row for each class, the worst first."""
    matrix, names = album.confusion(), album.class_names()
    rows = []
    for label in np.flatnonzero(matrix.sum(axis=1)):
        hits, count = int(matrix[label, label]), int(matrix[label].sum())
        others = matrix[label].copy()
        others[label] = 0
        worst = int(others.argmax())
        taken = (
            f"{render_text(names[worst])} ({others[worst]})" if others[worst] else ""
        )
        rows.append((hits / count, names[label], hits, count, taken))
    rows.sort(key=lambda row: (row[0], row[1]))
    cells = [
        (
            render_text(name),
            f'<meter min="0" max="1" value="{share:.4f}"></meter> <span class="share">{share:.1%}</span>',
            "{:.0%} to {:.0%}".format(*compute_wilson_interval(hits, count)),
            str(count),
            taken,
        )
        for share, name, hits, count, taken in rows
    ]
    heads = ("class", ">accuracy", ">95% interval", ">images", "mostly taken for")
    return Section("Classes", "<p>The worst first.</p>" + render_table(heads, cells))


def make_calibration_section(album: Album) -> Section:
    values = album.reliability()
    note = (
        "<p>How often the model is right when it says that it is so sure. Bars below "
        "the diagonal: too confident; above: not confident enough.</p>"
    )
    figure = draw_reliability(values, "")
    return Section(
        "Calibration", note + render_picture(figure, "reliability diagram", "svg")
    )


def make_confusion_section(album: Album) -> Section:
    names = album.class_names()
    if len(names) > _MOST_CLASSES:
        note = f"<p>Not drawn for more than {_MOST_CLASSES} classes.</p>"
        return Section("Confusion", note)
    figure = draw_confusion(album.confusion(), names, "")
    return Section(
        "Confusion", render_picture(figure, "confusion matrix", wide=len(names) > 12)
    )


def make_mistakes_section(album: Album) -> Section:
    shown = [
        make_thumbnail(m.image, f"{m.truth}, called {m.answer} ({m.confidence:.0%})")
        for m in album.mistakes()
    ]
    body = f'<div class="thumbs">{"".join(shown)}</div>' if shown else "<p>None.</p>"
    return Section("Mistakes", "<p>The most confident first.</p>" + body)


def make_attention_section(album: Album) -> Section:
    """Returns rollout, one image's attention maps and the attention distance."""
    parts = []
    for kind in ("rollout", "attention", "distance"):
        _, figure = next(draw_kind(album, kind))
        parts.append(render_picture(figure, kind, wide=kind != "distance"))
    notes = (
        "From which patches the output comes (attention rollout).",
        "Where each head looks, in the first of the images.",
        "How far each head looks.",
    )
    pairs = zip(notes, parts, strict=True)
    return Section("Attention", "".join(f"<p>{n}</p>{p}" for n, p in pairs))


def make_events_section(workdir: Path) -> Section:
    rows = [
        (
            f"{datetime.datetime.fromtimestamp(event['time']):%Y-%m-%d %H:%M:%S}",
            render_text(event["event"]),
            f"{event['step']:,}",
            render_text(event.get("detail", "")),
        )
        for event in read_events(workdir)
    ]
    body = (
        render_table(("~time", "~event", ">step", "detail"), rows)
        if rows
        else "<p>This run logged none.</p>"
    )
    lines = [
        line
        for path in sorted(workdir.glob("bad_files*.txt"))  # one of each host
        for line in path.read_bytes().decode(errors="replace").splitlines()
    ]
    body += f"<p>Images that could not be read: {len(lines)}.</p>"
    if lines:
        pairs = (line.partition("\t") for line in lines)
        cells = [(render_text(name), render_text(reason)) for name, _, reason in pairs]
        body += render_table(("image", "reason"), cells)
    return Section("Events", body)


def make_config_section(values: Any) -> Section:
    """Returns the whole config, a group for each section of it."""
    parts, alone = [], []
    for name, value in dataclasses.asdict(values).items():
        if isinstance(value, dict):
            rows = [
                (render_text(key), render_text(_plain(x))) for key, x in value.items()
            ]
            opened = " open" if name in ("model", "data") else ""
            shown = render_table(("key", "value"), rows)
            parts.append(
                f"<details{opened}><summary>{render_text(name)}</summary>{shown}</details>"
            )
        else:
            alone.append((render_text(name), render_text(_plain(value))))
    return Section("Config", render_table(("key", "value"), alone) + "".join(parts))


def _values(lines: Lines, name: str) -> list[float]:
    return [line[name] for line in lines if line["kind"] == "train" and name in line]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number:,}"


def make_sections(album: Album, lines: Lines, workdir: Path) -> Iterator[Section]:
    """Yields the sections in the order of the page.

    One that is not to be had (a Mixer has no attention, the data has moved) says why.
    """
    yield make_curves_section(lines)
    for title, make in _OF_ALBUM.items():
        try:
            yield make(album)
        except ConfigError as error:
            yield Section(title, f"<p>{render_text(error)}</p>")
    yield make_events_section(workdir)
    yield make_config_section(album.loaded.run)


_OF_ALBUM: dict[str, Callable[[Album], Section]] = {
    "Classes": make_classes_section,
    "Calibration": make_calibration_section,
    "Confusion": make_confusion_section,
    "Mistakes": make_mistakes_section,
    "Attention": make_attention_section,
}
