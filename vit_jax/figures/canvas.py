"""Drawing with Matplotlib: new figures, mosaics and images, in one style."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
BLUE, ORANGE, GRAY = "#2b6cb0", "#dd6b20", "#718096"


def make_figure(width: float, height: float, title: str) -> "Figure":
    """Returns an empty figure.

    The figure belongs to no window: it needs no display and keeps no global state.

    Args:
      width: in inches.
      height: in inches.
      title: over the whole figure; may be empty.

    Raises:
      ConfigError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'matplotlib must be installed for figures; run `pip install "vit_jax[plots]"`'
        ) from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def make_mosaic(tiles: np.ndarray, gap: int = 1, fill: float = np.nan) -> np.ndarray:
    """Arranges tiles [r, c, y, x, ...] in rows and columns of one image.

    Args:
      tiles: of r rows and c columns.
      gap: pixels between tiles.
      fill: value of the gaps.
    """
    rows, columns, height, width, *channels = tiles.shape
    down, across = height + gap, width + gap
    out = np.full((rows * down - gap, columns * across - gap, *channels), fill)
    for i, j in np.ndindex(rows, columns):
        out[i * down : i * down + height, j * across : j * across + width] = tiles[i, j]
    return out


def label_tiles(axes: Any, tiles: np.ndarray, gap: int, first: int = 0) -> None:
    """Numbers the rows and columns of a mosaic, at most 16 of each, from ``first``."""
    rows, columns, height, width = tiles.shape[:4]
    for axis, count, side in ((axes.yaxis, rows, height), (axes.xaxis, columns, width)):
        numbers = np.arange(0, count, -(-count // 16))
        axis.set_ticks(
            numbers * (side + gap) + (side - 1) / 2, [str(n + first) for n in numbers]
        )
    axes.tick_params(length=0, labelsize=8)
    _hide_frame(axes)


def show_image(axes: Any, image: np.ndarray, title: str = "") -> None:
    """Shows an image, [h, w, 3], without ticks and frame."""
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    _hide_frame(axes)


def _hide_frame(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def shorten(text: str, length: int = 28) -> str:
    """Returns a name for a title: valid text, and of a long name only the end."""
    text = os.fsencode(text).decode(errors="replace")  # file names may not be UTF-8
    return text if len(text) <= length else f"…{text[1 - length :]}"
