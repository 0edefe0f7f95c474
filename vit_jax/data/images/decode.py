"""Encoded bytes -> uint8 RGB: what a person would see, for every kind of file.

What ``jpeg`` does not take goes through Pillow, which is half as fast.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vit_jax.data.images import jpeg
from vit_jax.data.images.jpeg import MAX_PIXELS, Box
from vit_jax.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image


class DecodeError(ConfigError):
    """A file that is not an image, a broken image, or one that is too large."""


def decode(data: bytes | np.ndarray, *, name: str = "image") -> np.ndarray:
    """Returns the image in RGB: uint8 [h, w, 3].

    Grayscale and palette images become RGB, CMYK is converted without a colour
    profile, 16 bits are reduced to 8, transparent pixels show white behind them, the EXIF
    orientation is applied, and an animation gives its first frame.

    Args:
      data: the bytes of a file, or pixels: uint8 [h, w], [h, w, 1] or [h, w, 3].
      name: what an error calls the image.

    Raises:
      DecodeError: the bytes are no image, or broken, or the image is too large.
    """
    if isinstance(data, np.ndarray):
        return _convert_array(data, name)
    if not data:
        raise DecodeError(f"image must not be empty, got 0 bytes in {name}")
    try:
        pixels = jpeg.decode(data)
    except jpeg.Damage as damage:
        raise _make_damage_error(name, damage) from damage
    return _decode_any(data, name) if pixels is None else pixels


def decode_box(
    data: bytes | np.ndarray,
    choose: Callable[[tuple[int, int]], Box],
    *,
    name: str = "image",
    min_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Returns a part of the image in RGB, uint8 [h, w, 3]: ``decode``, then the box.

    A JPEG is decoded no further down than the box, which spares a fifth of the work of
    an Inception crop, into memory that the thread uses again, which spares as much.

    Args:
      data: as for ``decode``.
      choose: from the image's (height, width) to (top, left, height, width).
      name: what an error calls the image.
      min_size: (height, width); what a JPEG has more of may be shrunk on the way, by 2,
        4 or 8 (pixels are averaged). None: never.

    Returns:
      Pixels that are overwritten by this thread's next call.

    Raises:
      DecodeError: as for ``decode``.
    """
    if isinstance(data, bytes):
        try:
            pixels = jpeg.decode_box(data, choose, min_size)
        except jpeg.Damage as damage:
            raise _make_damage_error(name, damage) from damage
        if pixels is not None:
            return pixels
    image = decode(data, name=name)
    top, left, height, width = choose((image.shape[0], image.shape[1]))
    return image[top : top + height, left : left + width]


def _make_damage_error(name: str, damage: jpeg.Damage) -> DecodeError:
    return DecodeError(
        f"image must not be damaged, got {name} ({damage}); replace or remove it"
    )


def _convert_array(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise DecodeError(
            f"image must be uint8 [h, w, c], got {pixels.dtype} {pixels.shape} in {name}"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])


def _decode_any(data: bytes, name: str) -> np.ndarray:
    """Decodes with Pillow."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{width}x{height}")
            image.load()
            return np.asarray(_convert_to_rgb(ImageOps.exif_transpose(image)))
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0]  # Pillow appends its own limit
        raise DecodeError(
            f"image must have at most {MAX_PIXELS:,} pixels, got {name} ({size}); "
            "make it smaller or remove it"
        ) from error
    except Image.UnidentifiedImageError as error:
        start = data[:12]
        raise DecodeError(
            f"image must be a JPEG, PNG, WebP, GIF, BMP or TIFF file, got {name}, which "
            f"begins with {start!r}; remove it or save it as an image"
        ) from error
    except Exception as error:  # Pillow's decoders raise almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DecodeError(
            f"image must be readable, got {name} ({reason}); replace or remove it"
        ) from error


def _convert_to_rgb(image: "Image.Image") -> "Image.Image":
    """Returns the image in mode RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 or 32 bits of gray; convert() would clip
        gray = np.asarray(image).astype(np.int64)
        return Image.fromarray((gray >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
