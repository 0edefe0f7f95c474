"""RandAugment on the device: for each image, a few of sixteen operations.

Every operation is one of four steps with its own numbers, so that a batch in which each
image draws another one runs no branch: an affine map of the pixels' places, a table of
values per channel, a blend with a grey or smoothed image, a box that is filled.

Reference: Cubuk et al., "RandAugment" (2020), section 3, with the sixteen operations and
their ranges of its published code, which AugReg (Steiner et al. 2022) used. Here the
contrast turns around the image's mean grey, as in Pillow.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from vit_jax.data.color import luma, to_uint8

OPERATIONS = (
    "auto_contrast", "equalize", "invert", "posterize", "solarize", "solarize_add",
    "brightness", "contrast", "color", "sharpness",
    "rotate", "shear_x", "shear_y", "translate_x", "translate_y", "cutout",
)  # fmt: skip
_GRAY = 128  # of what comes in from outside, and of the box
_TRANSLATION = 100 / 224  # at magnitude 10, of the side: the published 100 pixels
_CUTOUT = 40 / 224  # half the box's side, likewise

Images = UInt8[Array, "b h w 3"]
Which = Int[Array, " b"]  # index into OPERATIONS


def rand_augment(
    images: Images, key: jax.Array, num_operations: int, magnitude: float
) -> Images:
    """Returns the images after ``num_operations`` random operations each.

    Args:
      images: pixels.
      key: draws operations, signs and places.
      num_operations: N of the paper; AugReg: 2.
      magnitude: M of the paper, of 10; AugReg goes to 20.
    """
    for layer in range(num_operations):
        which_key, sign_key, place_key = jax.random.split(
            jax.random.fold_in(key, layer), 3
        )
        count = images.shape[0]
        which = jax.random.randint(which_key, (count,), 0, len(OPERATIONS))
        signs = jax.random.rademacher(sign_key, (count,), jnp.float32)
        places = jax.random.uniform(place_key, (2, count), jnp.float32)
        images = apply(images, which, magnitude, signs, places)
    return images


def apply(
    images: Images,
    which: Which,
    magnitude: float,
    signs: Float[Array, " b"],
    places: Float[Array, "2 b"],
) -> Images:
    """Returns each image after its operation.

    Args:
      images: pixels.
      which: the operation of each, an index into ``OPERATIONS``.
      magnitude: of all, of 10.
      signs: -1 or 1: the direction of the geometric ones.
      places: in [0, 1): the centre (down, across) of a cutout.
    """
    level = magnitude / 10
    images = _move(images, which, signs * level)
    images = _look_up(images, _tables(images, which, level))
    images = _blend(images, which, 1.8 * level + 0.1)
    return _cut_out(images, which, level, places)


def _is(which: Which, name: str) -> Array:
    return which == OPERATIONS.index(name)


def _move(images: Images, which: Which, level: Float[Array, " b"]) -> Images:
    """Rotates, shears or translates; the nearest pixel is taken."""
    _, height, width, _ = images.shape

    def only(name: str, value: Array) -> Array:
        return jnp.where(_is(which, name), value, 0.0)[:, None, None]

    angle = only("rotate", level * jnp.float32(jnp.pi / 6))  # 30 degrees
    y, x = (axis.astype(jnp.float32) for axis in jnp.mgrid[:height, :width])
    y, x = y[None] - (height - 1) / 2, x[None] - (width - 1) / 2
    from_x = jnp.cos(angle) * x - jnp.sin(angle) * y
    from_y = jnp.sin(angle) * x + jnp.cos(angle) * y
    # Shears hold the upper left corner, not the centre, in its place.
    from_x += only("shear_x", 0.3 * level) * (y + (height - 1) / 2)
    from_y += only("shear_y", 0.3 * level) * (x + (width - 1) / 2)
    from_x += only("translate_x", jnp.round(_TRANSLATION * width * level))
    from_y += only("translate_y", jnp.round(_TRANSLATION * height * level))
    columns = jnp.round(from_x + (width - 1) / 2).astype(jnp.int32)
    rows = jnp.round(from_y + (height - 1) / 2).astype(jnp.int32)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = jnp.where(inside, rows * width + columns, 0).reshape(len(images), -1, 1)
    moved = jnp.take_along_axis(
        images.reshape(len(images), -1, 3), index, axis=1
    ).reshape(images.shape)
    return jnp.where(inside[..., None], moved, jnp.uint8(_GRAY))


def _tables(images: Images, which: Which, level: float) -> UInt8[Array, "b 256 3"]:
    """Returns what becomes of each value in each channel of each image."""
    values = jnp.arange(256, dtype=jnp.int32)[None, :, None]
    bits = min(8, max(1, int(4 * level)))
    factor = jnp.float32(1.8 * level + 0.1)
    added = jnp.where(values < 128, values + int(110 * level), values)
    mean = jnp.floor(luma(images.astype(jnp.float32)).mean(axis=(1, 2, 3)) + 0.5)
    mean = mean[:, None, None]
    histogram = _histogram(images)
    tables = {
        "auto_contrast": _auto_contrast(histogram),
        "equalize": _equalize(histogram),
        "invert": 255 - values,
        "posterize": values >> (8 - bits) << (8 - bits),
        "solarize": jnp.where(values < int(256 * level), values, 255 - values),
        "solarize_add": jnp.clip(added, 0, 255),
        "brightness": values.astype(jnp.float32) * factor,
        "contrast": mean + (values.astype(jnp.float32) - mean) * factor,
    }
    chosen = jnp.broadcast_to(values, histogram.shape).astype(jnp.float32)
    for name, table in tables.items():
        chosen = jnp.where(
            _is(which, name)[:, None, None], table.astype(jnp.float32), chosen
        )
    return to_uint8(chosen)


def _histogram(images: Images) -> Int[Array, "b 256 3"]:
    """Returns how often each value occurs in each channel."""
    count = images.shape[0]
    pixels = images.reshape(count, -1, 3).astype(jnp.int32)
    offsets = (
        jnp.arange(count, dtype=jnp.int32)[:, None, None] * 768
        + jnp.arange(3, dtype=jnp.int32)[None, None] * 256
    )
    counts = jnp.zeros(count * 768, jnp.int32).at[(pixels + offsets).ravel()].add(1)
    return counts.reshape(count, 3, 256).swapaxes(1, 2)


def _auto_contrast(histogram: Int[Array, "b 256 3"]) -> Float[Array, "b 256 3"]:
    """Returns the table that stretches each channel to 0..255."""
    values = jnp.arange(256, dtype=jnp.int32)[None, :, None]
    low = jnp.where(histogram > 0, values, 255).min(axis=1, keepdims=True)
    high = jnp.where(histogram > 0, values, 0).max(axis=1, keepdims=True)
    spread = jnp.maximum(high - low, 1).astype(jnp.float32)
    stretched = jnp.floor((values - low).astype(jnp.float32) * 255 / spread)
    return jnp.where(high > low, stretched, values.astype(jnp.float32))


def _equalize(histogram: Int[Array, "b 256 3"]) -> Int[Array, "b 256 3"]:
    """Returns the table that makes each channel's values equally frequent (Pillow)."""
    values = jnp.arange(256, dtype=jnp.int32)[None, :, None]
    high = jnp.where(histogram > 0, values, 0).max(axis=1, keepdims=True)
    last = jnp.take_along_axis(histogram, high, axis=1)
    step = (histogram.sum(axis=1, keepdims=True) - last) // 255
    before = jnp.cumsum(histogram, axis=1) - histogram
    table = (before + step // 2) // jnp.maximum(step, 1)
    return jnp.where(step > 0, table, values)


def _look_up(images: Images, tables: UInt8[Array, "b 256 3"]) -> Images:
    pixels = images.reshape(images.shape[0], -1, 3).astype(jnp.int32)
    return jnp.take_along_axis(tables, pixels, axis=1).reshape(images.shape)


def _blend(images: Images, which: Which, factor: float) -> Images:
    """Moves from grey (color) or from the smoothed image (sharpness) past the image."""
    values = images.astype(jnp.float32)
    is_color = _is(which, "color")[:, None, None, None]
    base = jnp.where(is_color, luma(values), _smooth(values))
    blended = to_uint8(base + (values - base) * factor)
    return jnp.where(
        is_color | _is(which, "sharpness")[:, None, None, None], blended, images
    )


def _smooth(values: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Returns Pillow's SMOOTH filter, (1 1 1, 1 5 1, 1 1 1) / 13; the rim stays."""
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = (total + 4 * values[:, 1:-1, 1:-1]) / 13
    return values.at[:, 1:-1, 1:-1].set(jnp.round(inner))


def _cut_out(
    images: Images, which: Which, level: float, places: Float[Array, "2 b"]
) -> Images:
    """Fills a square, clipped at the edges, with grey."""
    _, height, width, _ = images.shape

    def near(size: int, centre: Array) -> Array:
        distance = (
            jnp.arange(size, dtype=jnp.float32)[None]
            - jnp.floor(centre * size)[:, None]
        )
        reach = int(_CUTOUT * size * level)
        return (distance >= -reach) & (distance < reach)

    box = near(height, places[0])[:, :, None] & near(width, places[1])[:, None, :]
    box &= _is(which, "cutout")[:, None, None]
    return jnp.where(box[..., None], jnp.uint8(_GRAY), images)
