"""The sections of a report in their order, and those about the model's predictions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.figures import Album, draw_confusion, draw_kind, draw_reliability
from vit_jax.report.page import (
    Section,
    make_thumbnail,
    render_picture,
    render_table,
    render_text,
)
from vit_jax.report.run_sections import (
    make_config_section,
    make_curves_section,
    make_events_section,
)
from vit_jax.report.summary import Lines

_MOST_CLASSES = 200  # of more, the confusion matrix would be illegible


def make_sections(album: Album, lines: Lines, workdir: Path) -> Iterator[Section]:
    """Yields the sections in the order of the page.

    A section that cannot be made (a model without attention, data that has moved) says
    why.

    Args:
      album: of the run's checkpoint.
      lines: of `metrics.jsonl`.
      workdir: of the run.
    """
    yield make_curves_section(lines)
    for title, make in _OF_ALBUM.items():
        try:
            yield make(album)
        except ConfigError as error:
            yield Section(title, f"<p>{render_text(error)}</p>")
    yield make_events_section(workdir)
    yield make_config_section(album.loaded.run)


def make_classes_section(album: Album) -> Section:
    """Returns a table with a row for each class, the worst first."""
    matrix, names = album.count_confusion(), album.list_class_names()
    rows = []
    for label in np.flatnonzero(matrix.sum(axis=1)):
        hits, count = int(matrix[label, label]), int(matrix[label].sum())
        others = matrix[label].copy()
        others[label] = 0
        worst = int(others.argmax())
        mistaken = (
            f"{render_text(names[worst])} ({others[worst]})" if others[worst] else ""
        )
        rows.append((hits / count, names[label], hits, count, mistaken))
    rows.sort(key=lambda row: (row[0], row[1]))
    cells = [
        (
            render_text(name),
            f'<meter min="0" max="1" value="{rate:.4f}"></meter> '
            f'<span class="share">{rate:.1%}</span>',
            "{:.0%} to {:.0%}".format(*compute_wilson_interval(hits, count)),
            str(count),
            mistaken,
        )
        for rate, name, hits, count, mistaken in rows
    ]
    heads = (
        "class",
        ">accuracy",
        ">95% interval",
        ">images",
        "most often mistaken for",
    )
    return Section("Classes", "<p>The worst first.</p>" + render_table(heads, cells))


def make_calibration_section(album: Album) -> Section:
    """Returns the reliability diagram."""
    values = album.measure_reliability()
    note = (
        "<p>Accuracy of the predictions by their confidence. Bars below the diagonal: "
        "overconfident; above: underconfident.</p>"
    )
    figure = draw_reliability(values, "")
    return Section(
        "Calibration", note + render_picture(figure, "reliability diagram", "svg")
    )


def make_confusion_section(album: Album) -> Section:
    """Returns the confusion matrix, unless it has too many classes to be legible."""
    names = album.list_class_names()
    if len(names) > _MOST_CLASSES:
        note = f"<p>Not drawn for more than {_MOST_CLASSES} classes.</p>"
        return Section("Confusion", note)
    figure = draw_confusion(album.count_confusion(), names, "")
    return Section(
        "Confusion", render_picture(figure, "confusion matrix", wide=len(names) > 12)
    )


def make_mistakes_section(album: Album) -> Section:
    """Returns thumbnails of the most confident mistakes."""
    shown = [
        make_thumbnail(m.image, f"{m.truth}, predicted {m.answer} ({m.confidence:.0%})")
        for m in album.find_mistakes()
    ]
    body = f'<div class="thumbs">{"".join(shown)}</div>' if shown else "<p>None.</p>"
    return Section("Mistakes", "<p>The most confident first.</p>" + body)


def make_attention_section(album: Album) -> Section:
    """Returns rollout, the attention maps of one image, and the attention distance."""
    parts = []
    for kind in ("rollout", "attention", "distance"):
        _, figure = next(draw_kind(album, kind))
        parts.append(render_picture(figure, kind, wide=kind != "distance"))
    notes = (
        "Attention rollout: how much each patch contributes to the output.",
        "Attention of each layer and head, in the first image.",
        "Mean attention distance of each head, by layer.",
    )
    pairs = zip(notes, parts, strict=True)
    return Section("Attention", "".join(f"<p>{n}</p>{p}" for n, p in pairs))


_OF_ALBUM: dict[str, Callable[[Album], Section]] = {
    "Classes": make_classes_section,
    "Calibration": make_calibration_section,
    "Confusion": make_confusion_section,
    "Mistakes": make_mistakes_section,
    "Attention": make_attention_section,
}
