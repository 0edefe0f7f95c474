"""Pictures of attention: maps by layer and head, rollout, attention distance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vit_jax.figures.canvas import (
    label_tiles,
    make_figure,
    make_mosaic,
    shorten,
    show_image,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_attention_maps(maps: np.ndarray, image: np.ndarray, title: str) -> "Figure":
    """Draws every head of every layer over the image.

    Args:
      maps: attention maps of one image, [l, k, y, x]; see
        `looking.compute_attention_maps`.
      image: uint8 [h, w, 3].
      title: names the model and the image.
    """
    num_layers, num_heads = maps.shape[:2]
    side = max(4.0, min(10.0, 0.8 * num_heads))
    height = max(3.4, side * num_layers / num_heads)
    figure = make_figure(side + 4.4, min(height, 16) + 0.9, title)
    left, right = figure.subplots(1, 2, width_ratios=(3, side))
    show_image(left, image, "input")
    left.set_anchor("N")  # aligned with the first layer, however many there are
    tiles = np.stack([[overlay_map(image, head) for head in layer] for layer in maps])
    gap = max(2, image.shape[0] // 16)
    right.imshow(make_mosaic(tiles, gap, fill=1.0), interpolation="nearest")
    label_tiles(right, tiles, gap)
    right.set_xlabel("head")
    right.set_ylabel("layer")
    right.set_title("attention to each patch (dark: none, bright: most)", fontsize=9)
    return figure


def draw_rollout(
    maps: np.ndarray, images: np.ndarray, names: Sequence[str], title: str
) -> "Figure":
    """Draws images and their attention rollout side by side.

    Figure 6 of Dosovitskiy et al. 2021 (arXiv:2010.11929).

    Args:
      maps: rollout of each image, [b, y, x]; see `looking.compute_rollout_maps`.
      images: uint8 [b, h, w, 3].
      names: of the images.
      title: names the model.
    """
    columns = min(3, len(images))
    rows = -(-len(images) // columns)
    figure = make_figure(max(3.4 * columns, 5) + 0.8, 1.85 * rows + 0.8, title)
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (values, image, name) in enumerate(zip(maps, images, names, strict=True)):
        row, column = divmod(i, columns)
        show_image(grid[row, 2 * column], image, shorten(name, 24))
        axes = grid[row, 2 * column + 1]
        show_image(axes, overlay_map(image, values), "rollout")
    bar = figure.colorbar(_make_scale(), ax=grid, shrink=0.8, pad=0.01)
    bar.set_label("rollout, relative to the largest patch", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _make_scale() -> Any:
    """Returns the colours of an overlay, for a colour bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(cmap="inferno")


def overlay_map(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Blends a gray image with a coloured map; returns float [h, w, 3] in [0, 1].

    Args:
      image: uint8 [h, w, 3].
      values: map over the patches, [y, x], not negative; scaled by its maximum.
    """
    import matplotlib as mpl

    height, width = image.shape[:2]
    down = np.arange(height) * values.shape[0] // height  # each pixel's patch
    across = np.arange(width) * values.shape[1] // width
    scaled = (values / max(float(values.max()), 1e-30))[down][:, across]
    colours = mpl.colormaps["inferno"](scaled)[..., :3]
    gray = image.astype(np.float64).mean(axis=-1, keepdims=True) / 255
    return 0.62 * colours + 0.38 * gray


def draw_attention_distance(
    distance: np.ndarray, image_size: tuple[int, int], num_images: int, title: str
) -> "Figure":
    """Draws the mean attention distance of each head by layer.

    Figure 7 (right) of Dosovitskiy et al. 2021 (arXiv:2010.11929).

    Args:
      distance: in pixels, [l, k]; see `looking.compute_mean_attention_distance`.
      image_size: (height, width) in pixels.
      num_images: number of images that the mean is over.
      title: names the model.
    """
    num_layers, num_heads = distance.shape
    figure = make_figure(6.4, 4.4, title)
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
        f"{num_heads} heads per layer, {over} of {height} x {width} pixels", fontsize=9
    )
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.25)
    return figure
