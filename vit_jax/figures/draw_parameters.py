"""Pictures of parameters: similarity of position embeddings, patch filters."""

from typing import TYPE_CHECKING

import numpy as np

from vit_jax.figures.canvas import label_tiles, make_figure, make_mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_position_similarity(similarity: np.ndarray, title: str) -> "Figure":
    """Draws the similarity of each position's embedding to all others, a tile each.

    Figure 7 (centre) of Dosovitskiy et al. 2021 (arXiv:2010.11929).

    Args:
      similarity: [y, x, y, x], in [-1, 1]; see `parameters.compute_position_similarity`.
      title: names the model.
    """
    figure = make_figure(7.2, 6.4, title)
    axes = figure.subplots()
    gap = max(1, similarity.shape[2] // 8)
    shown = axes.imshow(
        make_mosaic(similarity, gap),
        cmap="viridis",
        vmin=-1,
        vmax=1,
        interpolation="nearest",
    )
    label_tiles(axes, similarity, gap, first=1)
    axes.set_xlabel("patch column")
    axes.set_ylabel("patch row")
    axes.set_title(
        "each tile: the similarity of one position to all others", fontsize=9
    )
    figure.colorbar(shown, ax=axes, shrink=0.85, label="cosine similarity")
    return figure


def draw_filters(
    components: np.ndarray, shares: np.ndarray, what: str, title: str
) -> "Figure":
    """Draws principal components of filters in colour, seven to a row.

    Figure 7 (left) of Dosovitskiy et al. 2021 (arXiv:2010.11929).

    Args:
      components: [c, p, p, 3]; see `parameters.compute_filter_components`.
      shares: fraction of the variance that each component explains, [c].
      what: name of the filters, such as "patch filters".
      title: names the model.
    """
    low = components.min(axis=(1, 2, 3), keepdims=True)
    high = components.max(axis=(1, 2, 3), keepdims=True)
    scaled = (components - low) / np.maximum(high - low, 1e-30)
    columns = min(7, len(scaled))
    rows = -(-len(scaled) // columns)
    missing = rows * columns - len(scaled)
    scaled = np.pad(scaled, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=1.0)
    tiles = scaled.reshape(rows, columns, *scaled.shape[1:])
    figure = make_figure(7.0, 0.97 * rows + 1.15, title)
    axes = figure.subplots()
    gap = max(1, components.shape[1] // 8)
    axes.imshow(make_mosaic(tiles, gap, fill=1.0), interpolation="nearest")
    label_tiles(axes, tiles, gap, first=1)
    firsts = np.arange(rows) * columns + 1
    axes.set_yticks(axes.get_yticks(), [str(n) for n in firsts])
    axes.set_xlabel("principal component, by decreasing variance")
    side, across = components.shape[1:3]
    axes.set_title(
        f"{len(components)} principal components of the {what}, {side} x {across} pixels, "
        f"{shares.sum():.0%} of the variance",
        fontsize=9,
    )
    return figure
