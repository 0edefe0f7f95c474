"""Pictures of where a model looks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.figures.canvas import (
    label_tiles,
    make_mosaic,
    new_figure,
    shorten,
    show_image,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_attention_maps(maps: np.ndarray, image: np.ndarray, title: str) -> "Figure":
    """Draws every head of every layer over the image.

    Args:
      maps: [l, k, y, x], of one image; see `looking.compute_attention_maps`.
      image: uint8 [h, w, 3].
      title: names the model and the image.
    """
    num_layers, num_heads = maps.shape[:2]
    side = max(4.0, min(10.0, 0.8 * num_heads))
    height = max(3.4, side * num_layers / num_heads)
    figure = new_figure(side + 4.4, min(height, 16) + 0.9, title)
    left, right = figure.subplots(1, 2, width_ratios=(3, side))
    show_image(left, image, "input")
    left.set_anchor("N")  # beside the first layer, however many there are
    tiles = np.stack([[overlay_map(image, head) for head in layer] for layer in maps])
    gap = max(2, image.shape[0] // 16)
    right.imshow(make_mosaic(tiles, gap, fill=1.0), interpolation="nearest")
    label_tiles(right, tiles, gap)
    right.set_xlabel("head")
    right.set_ylabel("layer")
    right.set_title("attention to each patch (dark: none, yellow: most)", fontsize=9)
    return figure


def draw_rollout(
    maps: np.ndarray, images: np.ndarray, names: Sequence[str], title: str
) -> "Figure":
    """Draws input and attention rollout beside each other, as the paper's Figure 6.

    Args:
      maps: [b, y, x]; see `looking.compute_rollout_maps`.
      images: uint8 [b, h, w, 3].
      names: of the images.
      title: names the model.
    """
    columns = min(3, len(images))
    rows = -(-len(images) // columns)
    figure = new_figure(max(3.4 * columns, 5) + 0.8, 1.85 * rows + 0.8, title)
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (values, image, name) in enumerate(zip(maps, images, names, strict=True)):
        row, column = divmod(i, columns)
        show_image(grid[row, 2 * column], image, shorten(name, 24))
        axes = grid[row, 2 * column + 1]
        show_image(axes, overlay_map(image, values), "rollout")
    bar = figure.colorbar(_scale(), ax=grid, shrink=0.8, pad=0.01)
    bar.set_label("share of the largest patch", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _scale() -> Any:
    """Returns what a colour bar of overlays needs."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(cmap="inferno")


def overlay_map(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the image, gray, under the map in colours: float [h, w, 3] in [0, 1].

    Args:
      image: uint8 [h, w, 3].
      values: [y, x], not negative; shown as shares of the largest.
    """
    import matplotlib as mpl

    height, width = image.shape[:2]
    down = np.arange(height) * values.shape[0] // height  # each pixel's patch
    across = np.arange(width) * values.shape[1] // width
    share = (values / max(float(values.max()), 1e-30))[down][:, across]
    colours = mpl.colormaps["inferno"](share)[..., :3]
    gray = image.astype(np.float64).mean(axis=-1, keepdims=True) / 255
    return 0.62 * colours + 0.38 * gray


def draw_attention_distance(
    distance: np.ndarray, image_size: tuple[int, int], num_images: int, title: str
) -> "Figure":
    """Draws the attention distance of each head by layer, as the paper's Figure 7.

    Args:
      distance: [l, k], in pixels; see `looking.compute_mean_attention_distance`.
      image_size: (height, width) in pixels.
      num_images: of which it is the mean.
      title: names the model.
    """
    num_layers, num_heads = distance.shape
    figure = new_figure(6.4, 4.4, title)
    axes = figure.subplots()
    for head in range(num_heads):
        axes.scatter(range(num_layers), distance[:, head], s=28, alpha=0.8)
    axes.plot(range(num_layers), distance.mean(axis=1), color="black", lw=1, alpha=0.5,
              label="mean of the heads")  # fmt: skip
    axes.set_xticks(np.arange(0, num_layers, -(-num_layers // 16)))
    axes.set_ylim(0, 1.08 * max(float(distance.max()), 1e-9))
    axes.set_xlabel("layer (network depth)")
    axes.set_ylabel("mean attention distance (pixels)")
    height, width = image_size
    over = "1 image" if num_images == 1 else f"mean over {num_images} images"
    axes.set_title(
        f"{num_heads} heads a layer, {over} of {height} x {width} pixels", fontsize=9
    )
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    return figure
