"""HTML as strings: a page in a single file, with its pictures inside."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Section(NamedTuple):
    """A heading, as text, and the HTML below it."""

    title: str
    body: str


def render_page(
    title: str, subtitle: str, top: str, sections: Iterable[Section]
) -> str:
    """Returns the whole page.

    Args:
      title: of the page.
      subtitle: one sentence below the title.
      top: HTML before the first section.
      sections: in the order of the page.
    """
    sections = list(sections)
    css = resources.files(__package__ or "").joinpath("style.css").read_text("utf-8")
    links = "".join(
        f'<a href="#{_make_anchor(s.title)}">{render_text(s.title)}</a>'
        for s in sections
    )
    parts = "".join(
        f'<section id="{_make_anchor(s.title)}"><h2>{render_text(s.title)}</h2>{s.body}</section>'
        for s in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{render_text(title)}</title><style>{css}</style></head><body>"
        f"<header><h1>{render_text(title)}</h1><p>{render_text(subtitle)}</p><nav>{links}</nav>"
        f"</header>{top}{parts}</body></html>\n"
    )


def render_text(value: Any) -> str:
    """Returns a value as text, escaped for HTML."""
    return html.escape(str(value))


def render_cards(values: Iterable[tuple[str, str, str]]) -> str:
    """Returns a row of boxes from (value, name, remark); the remark may be empty."""
    boxes = "".join(
        f'<div class="card"><b>{render_text(value)}</b><span>{render_text(name)}'
        f"{'<br>' + render_text(remark) if remark else ''}</span></div>"
        for value, name, remark in values
    )
    return f'<div class="cards">{boxes}</div>'


def render_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table that scrolls.

    Args:
      heads: titles of the columns, as text; a leading ``>`` marks a column of numbers, a
        leading ``~`` one that must not wrap.
      rows: cells, as HTML.
    """
    kinds = {">": ' class="number"', "~": ' class="time"'}
    classes = [kinds.get(head[:1], ' class="long"') for head in heads]
    head = "".join(
        f"<th{c}>{render_text(h.lstrip('>~'))}</th>"
        for h, c in zip(heads, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{c}>{x}</td>" for x, c in zip(row, classes, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def render_picture(
    figure: "Figure", alt: str, form: str = "png", wide: bool = False
) -> str:
    """Returns a figure as an image inside the page.

    Args:
      figure: of Matplotlib.
      alt: description for readers who cannot see it.
      form: ``png``, or ``svg`` for figures of few lines.
      wide: whether the image scrolls on narrow screens, so that it stays legible.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form)
    kind = "svg+xml" if form == "svg" else form
    image = _render_image(buffer.getvalue(), kind, alt)
    return f'<figure class="{"wide" if wide else "fit"}">{image}</figure>'


def make_thumbnail(pixels: np.ndarray, caption: str) -> str:
    """Returns a small image with a caption.

    Args:
      pixels: uint8 [h, w, 3].
      caption: as text.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((192, 192))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    shown = _render_image(buffer.getvalue(), "png", caption)
    return f"<figure>{shown}<figcaption>{render_text(caption)}</figcaption></figure>"


def _render_image(content: bytes, kind: str, alt: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{render_text(alt)}" src="data:image/{kind};base64,{encoded}">'


def _make_anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
