"""RandAugment on the host: a few of sixteen operations on each image.

It runs on the host, unlike the other augmentations, because of its look-ups of positions
and of values: where each image draws an operation of its own, an accelerator does them
a pixel at a time (`benchmarks/augment.py`).

Reference: Cubuk et al., "RandAugment" (2020), section 3, with the sixteen operations and
their ranges of its published code, which AugReg (Steiner et al. 2022) used. Here the
contrast turns around the image's mean grey, as in Pillow.
"""

import math

import numpy as np
from jaxtyping import Int, UInt8

from vit_jax.data.images.crops import load_cv2

OPERATIONS = (
    "auto_contrast", "equalize", "invert", "posterize", "solarize", "solarize_add",
    "brightness", "contrast", "color", "sharpness",
    "rotate", "shear_x", "shear_y", "translate_x", "translate_y", "cutout",
)  # fmt: skip
_GRAY = 128  # of what comes in from outside, and of the box
_TRANSLATION = 100 / 224  # at magnitude 10, of the side: the published 100 pixels
_CUTOUT = 40 / 224  # half the box's side, likewise

# ITU-R 601-2 luma, as Pillow weighs red, green and blue.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Pillow's SMOOTH filter.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

Image = UInt8[np.ndarray, "h w 3"]


def apply_randaugment(
    image: Image, rng: np.random.Generator, num_operations: int, magnitude: float
) -> Image:
    """Returns the image after random operations, one after the other.

    Args:
      image: pixels.
      rng: draws operations, signs and positions.
      num_operations: N of the paper; AugReg: 2.
      magnitude: M of the paper, of 10; AugReg goes to 20.
    """
    for _ in range(num_operations):
        name = OPERATIONS[rng.integers(len(OPERATIONS))]
        sign = 1.0 if rng.integers(2) else -1.0
        down, across = rng.random(2)
        image = apply_operation(image, name, magnitude, sign, (down, across))
    return image


def apply_operation(
    image: Image,
    name: str,
    magnitude: float,
    sign: float = 1.0,
    position: tuple[float, float] = (0.5, 0.5),
) -> Image:
    """Returns the image after one operation.

    Args:
      image: pixels.
      name: one of ``OPERATIONS``.
      magnitude: of 10.
      sign: -1 or 1: the direction of the geometric ones.
      position: in [0, 1): the centre (down, across) of a cutout.
    """
    level = magnitude / 10
    factor = 1.8 * level + 0.1
    if name == "cutout":
        return _fill_cutout(image, level, position)
    if name == "color":
        return _change_color(image, factor)
    if name == "sharpness":
        return _sharpen(image, factor)
    if name in ("auto_contrast", "equalize"):
        make = _stretch_contrast if name == "auto_contrast" else _equalize
        return _look_up(image, np.stack([make(row) for row in _count_values(image)]))
    table = _make_table(image, name, level, factor)
    if table is not None:
        return _look_up(image, table)
    return _move(image, name, sign * level)


def _make_table(
    image: Image, name: str, level: float, factor: float
) -> np.ndarray | None:
    """Returns what becomes of each value, [256]; None for the geometric operations."""
    values = np.arange(256)
    match name:
        case "invert":
            return 255 - values
        case "posterize":
            lost = 8 - min(8, max(1, int(4 * level)))
            return values >> lost << lost
        case "solarize":
            return np.where(values < int(256 * level), values, 255 - values)
        case "solarize_add":
            return np.where(values < 128, values + int(110 * level), values)
        case "brightness":
            return values * factor
        case "contrast":
            channels = np.array(load_cv2().mean(image)[:3])
            mean = math.floor(float(channels @ _LUMA) + 0.5)
            return mean + (values - mean) * factor
    return None


def _look_up(image: Image, table: np.ndarray) -> Image:
    """Returns each value's entry in a table [256] for all channels, or [3, 256]."""
    table = np.clip(np.round(table), 0, 255).astype(np.uint8)
    if table.ndim == 2:
        table = np.ascontiguousarray(table.T)[None]
    return load_cv2().LUT(image, table)


def _count_values(image: Image) -> Int[np.ndarray, "3 256"]:
    """Returns how often each value occurs in each channel."""
    count = load_cv2().calcHist
    rows = [count([image], [c], None, [256], [0, 256]).ravel() for c in range(3)]
    return np.array(rows).astype(np.int64)


def _stretch_contrast(histogram: Int[np.ndarray, " 256"]) -> np.ndarray:
    """Returns the table that stretches a channel to 0..255."""
    values, there = np.arange(256), np.flatnonzero(histogram)
    low, high = there[0], there[-1]
    return (values - low) * 255 // (high - low) if high > low else values


def _equalize(histogram: Int[np.ndarray, " 256"]) -> np.ndarray:
    """Returns the table that makes a channel's values equally frequent (Pillow)."""
    last = histogram[np.flatnonzero(histogram)[-1]]
    step = (histogram.sum() - last) // 255
    before = np.cumsum(histogram) - histogram
    return (before + step // 2) // step if step else np.arange(256)


def _change_color(image: Image, factor: float) -> Image:
    """Moves from grey past the image: a matrix of the channels."""
    matrix = factor * np.eye(3, dtype=np.float32) + (1 - factor) * _LUMA
    return load_cv2().transform(image, matrix)


def _sharpen(image: Image, factor: float) -> Image:
    """Moves from the smoothed image, of which the rim is not smoothed, past the image."""
    cv2 = load_cv2()
    smooth = cv2.filter2D(image, -1, _SMOOTH)
    for rim in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        smooth[rim] = image[rim]
    return cv2.addWeighted(image, factor, smooth, 1 - factor, 0)


def _move(image: Image, name: str, level: float) -> Image:
    """Rotates, shears or translates; the nearest pixel is taken."""
    height, width = image.shape[:2]
    # From a position in the result, (x, y, 1), to one in the image.
    matrix = np.eye(2, 3)
    if name == "rotate":
        angle = level * math.pi / 6  # 30 degrees
        x, y = (width - 1) / 2, (height - 1) / 2
        cos, sin = math.cos(angle), math.sin(angle)
        matrix[:] = [
            [cos, -sin, x - cos * x + sin * y],
            [sin, cos, y - sin * x - cos * y],
        ]
    elif name in ("shear_x", "shear_y"):
        matrix[(0, 1) if name == "shear_x" else (1, 0)] = 0.3 * level
    elif name == "translate_x":
        matrix[0, 2] = round(_TRANSLATION * width * level)
    else:
        matrix[1, 2] = round(_TRANSLATION * height * level)
    cv2 = load_cv2()
    return cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_GRAY,) * 3,
    )


def _fill_cutout(image: Image, level: float, position: tuple[float, float]) -> Image:
    """Fills a box, clipped at the edges, with grey."""
    spans = []
    for size, centre in zip(image.shape[:2], position, strict=True):
        middle, reach = math.floor(centre * size), int(_CUTOUT * size * level)
        spans.append(slice(max(0, middle - reach), middle + reach))
    image = image.copy()
    image[tuple(spans)] = _GRAY
    return image
