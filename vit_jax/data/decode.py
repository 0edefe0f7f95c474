"""Encoded bytes -> uint8 RGB: what a person would see, for every kind of file.

JPEG goes through libjpeg-turbo (simplejpeg); measured twice as fast as Pillow, which
reads the rest.
"""

import io
from typing import TYPE_CHECKING

import numpy as np

from vit_jax.config import ConfigError

if TYPE_CHECKING:
    from PIL import Image

# More pixels are a mistake or an attack (a few kilobytes can hold gigabytes of black).
# Pillow's own limit, so that it warns of nothing that we accept.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3


class DecodeError(ConfigError):
    """A file that is not an image, a broken image, or one that is too large."""


def decode(data: bytes | np.ndarray, *, name: str = "image") -> np.ndarray:
    """Returns the image in RGB: uint8 [h, w, 3].

    Grayscale and palette images become RGB, CMYK is converted without a colour
    profile, 16 bits are cut to 8, transparent pixels show white behind them, the EXIF
    orientation is applied, and an animation gives its first frame.

    Args:
      data: the bytes of a file, or pixels: uint8 [h, w], [h, w, 1] or [h, w, 3].
      name: what an error calls the image.

    Raises:
      DecodeError: the bytes are no image, or broken, or the image is too large.
    """
    if isinstance(data, np.ndarray):
        return _from_array(data, name)
    if not data:
        raise DecodeError(f"image must not be empty, got 0 bytes in {name}")
    if data[:2] == b"\xff\xd8":
        image = _decode_jpeg(data)
        if image is not None:
            return image
    return _decode_any(data, name)


def _from_array(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise DecodeError(
            f"image must be uint8 [h, w, c], got {pixels.dtype} {pixels.shape} in {name}"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])


def _decode_jpeg(data: bytes) -> np.ndarray | None:
    """Returns the pixels, or None for what Pillow must look at."""
    import simplejpeg

    # Orientation lives in EXIF; almost no image of the common data sets has one.
    if b"Exif\x00\x00" in data[:65536]:
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors in ("CMYK", "YCCK") or int(height) * int(width) > MAX_PIXELS:
            return None
        # The fast integer transform is the one that the original asked of TensorFlow.
        return simplejpeg.decode_jpeg(data, "RGB", fastdct=True)
    except ValueError:
        return None


def _decode_any(data: bytes, name: str) -> np.ndarray:
    """Decodes with Pillow."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{width}x{height}")
            image.load()
            return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except Image.DecompressionBombError as error:
        raise DecodeError(
            f"image must have at most {MAX_PIXELS:,} pixels, got {name} ({error}); "
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


def _to_rgb(image: "Image.Image") -> "Image.Image":
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
