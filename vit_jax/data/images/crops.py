"""Crop and resize on the host: uint8 [h, w, 3] -> uint8 [H, W, 3]."""

import math
import threading
from types import ModuleType

import numpy as np

from vit_jax.config import Preprocessing
from vit_jax.config.choices import EVAL_CROPS, INTERPOLATIONS
from vit_jax.data.images.jpeg import Box, Size

_ATTEMPTS = 100


def sample_box(
    rng: np.random.Generator,
    size: Size,
    area: tuple[float, float] = (0.05, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Returns a random box (top, left, height, width) inside an image of ``size``.

    The law of ``tf.image.sample_distorted_bounding_box``, which the original used:
    uniform aspect ratio (width over height), then a height uniform among those that
    keep the area in range, then a uniform position; the whole image after 100 failures.
    (torchvision's RandomResizedCrop differs: uniform area, log-uniform aspect.)

    Args:
      rng: where the numbers come from.
      size: (height, width) of the image in pixels.
      area: range of the box's share of the image's area.
      aspect: range of width over height.

    Reference: Szegedy et al., "Going Deeper with Convolutions", section 6.
    """
    height, width = size
    for _ in range(_ATTEMPTS):
        ratio = rng.uniform(*aspect)
        low = round(math.sqrt(area[0] * height * width / ratio))
        high = round(math.sqrt(area[1] * height * width / ratio))
        high = min(high, height, math.floor((width + 0.5) / ratio))
        box_height = int(rng.integers(low, high + 1)) if low < high else high
        box_width = round(box_height * ratio)
        share = box_height * box_width / (height * width)
        if box_height > 0 and 0 < box_width <= width and area[0] <= share <= area[1]:
            top = int(rng.integers(0, height - box_height + 1))
            left = int(rng.integers(0, width - box_width + 1))
            return top, left, box_height, box_width
    return 0, 0, height, width


def take_whole(
    rng: np.random.Generator,
    size: Size,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> Box:
    """Returns the whole image as a box; nothing is drawn."""
    del rng, area, aspect
    return 0, 0, *size


def crop_eval(
    image: np.ndarray, preprocessing: Preprocessing, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the image as evaluation and prediction see it: uint8 [H, W, 3].

    Args:
      image: uint8 [h, w, 3].
      preprocessing: ``eval_crop`` is a row of `EVAL_CROPS`.
      out: where to write it, such as a row of a batch; None: new memory.

    Raises:
      ConfigError: an unknown crop or interpolation.
    """
    return EVAL_CROPS.resolve(preprocessing.eval_crop)(image, preprocessing, out)


def resize_whole(
    image: np.ndarray, preprocessing: Preprocessing, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the whole image scaled to H x W, whatever its shape, as the original."""
    return resize(image, preprocessing.image_size, preprocessing.interpolation, out)


def crop_center(
    image: np.ndarray, preprocessing: Preprocessing, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the centre of the image, which keeps its shape.

    It is scaled until the crop is ``eval_crop_fraction`` of it in the tighter direction
    (timm and torchvision: 224 / 0.875 = 256).
    """
    height, width = preprocessing.image_size
    fraction = preprocessing.eval_crop_fraction
    small = math.floor(height / fraction), math.floor(width / fraction)
    rows, columns = image.shape[:2]
    # Whole numbers are divided once: 2.0 times 256 must not become 511.
    if small[0] * columns >= small[1] * rows:
        scaled = small[0], small[0] * columns // rows
    else:
        scaled = small[1] * rows // columns, small[1]
    image = resize(image, scaled, preprocessing.interpolation)
    top = round((image.shape[0] - height) / 2)
    left = round((image.shape[1] - width) / 2)
    return _put(image[top : top + height, left : left + width], out)


def resize(
    image: np.ndarray, size: Size, interpolation: str, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the image scaled to ``size`` (height, width): uint8 [H, W, 3].

    Args:
      image: uint8 [h, w, 3].
      size: (height, width).
      interpolation: a row of `INTERPOLATIONS`.
      out: where to write it, such as a row of a batch; None: new memory.

    Raises:
      ConfigError: an unknown interpolation.
    """
    if image.shape[:2] == size:
        return _put(image, out)
    return INTERPOLATIONS.resolve(interpolation)(image, size, out)


def resize_bilinear(
    image: np.ndarray, size: Size, out: np.ndarray | None
) -> np.ndarray:
    """Mixes two by two neighbours at half-pixel centres, whatever the scale.

    As tf.image.resize, which the original used for training and evaluation.
    """
    height, width = size
    cv2 = load_cv2()
    # OpenCV writes to memory of the right shape and type, else to its own.
    resized = cv2.resize(
        image, (width, height), dst=out, interpolation=cv2.INTER_LINEAR
    )
    return resized if out is None else out


def resize_area(image: np.ndarray, size: Size, out: np.ndarray | None) -> np.ndarray:
    """Takes the mean of the covered pixels when shrinking; else as `resize_bilinear`."""
    height, width = size
    if image.shape[0] < height or image.shape[1] < width:
        return resize_bilinear(image, size, out)
    cv2 = load_cv2()
    resized = cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    return resized if out is None else out


def resize_bilinear_antialias(
    image: np.ndarray, size: Size, out: np.ndarray | None
) -> np.ndarray:
    """Resizes as Pillow: the kernel widens with the scale when shrinking.

    What timm and torchvision weights were trained and evaluated with, where not with
    `resize_bicubic`.
    """
    return _resize_with_pillow(image, size, "BILINEAR", out)


def resize_bicubic(image: np.ndarray, size: Size, out: np.ndarray | None) -> np.ndarray:
    """As `resize_bilinear_antialias`, with the bicubic kernel."""
    return _resize_with_pillow(image, size, "BICUBIC", out)


def _resize_with_pillow(
    image: np.ndarray, size: Size, kernel: str, out: np.ndarray | None
) -> np.ndarray:
    from PIL import Image

    height, width = size
    resized = Image.fromarray(image).resize((width, height), Image.Resampling[kernel])
    return _put(np.asarray(resized), out)


def _put(image: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Returns a copy of the image, in ``out`` if that is given."""
    if out is None:
        return image.copy()
    out[...] = image
    return out


_thread = threading.local()


def load_cv2() -> ModuleType:
    """Returns OpenCV, set up for this thread."""
    import cv2

    if not hasattr(_thread, "is_set_up"):
        cv2.setNumThreads(0)  # the loader's threads each have an image of their own
        # Intel's kernels, where OpenCV has them: twice as fast, and rounded to the
        # nearest where OpenCV's own may be off by one ("not exact" means not equal to
        # those). A setting of each thread.
        cv2.ipp.setUseIPP_NotExact(True)
        _thread.is_set_up = True
    return cv2
