"""JPEG through libjpeg-turbo (simplejpeg), and no more of it than is needed.

The markers of a file are read by own code: simplejpeg says neither where a scan begins
nor whether the file is complete.

The functions return None for what they leave to a slower reader: files that are no
JPEG, and CMYK.
"""

import re
import threading
from collections.abc import Callable

import numpy as np

from vit_jax.data.images import turbojpeg
from vit_jax.data.images.exif import apply_orientation, read_orientation

Box = tuple[int, int, int, int]  # top, left, height, width in pixels
Size = tuple[int, int]  # height, width in pixels

# More pixels are a mistake or an attack (a few kilobytes can hold gigabytes of black).
# Pillow's own limit, so that it warns of nothing that we accept.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3

# Chroma upsampling looks one row of 2x2 blocks past the last row that it gives.
_MARGIN = 16

# Bytes that a thread keeps for its next image; larger ones get memory of their own.
_KEPT = 48_000_000

_END = b"\xff\xd9"  # the marker behind the last scan

_memory = threading.local()


# Stray bytes between the parts of a file: so few do no harm, and some cameras leave
# them; more are what a decoder is left with when it lost its position.
_STRAY = 64


class Damage(ValueError):
    """A JPEG that can be decoded, but not to what was once in it."""


def decode(data: bytes) -> np.ndarray | None:
    """Returns the image in RGB, turned as its EXIF says, uint8 [h, w, 3]; or None.

    Raises:
      Damage: a part of the image is lost. (Pillow would show grey there, or garbage.)
    """
    import simplejpeg

    header = _read_header(data)
    if header is None:
        return None
    colors = "CMYK" if header[1] == "CMYK" else "RGB"
    try:
        # The fast integer transform is TensorFlow's default, hence the original's.
        pixels = simplejpeg.decode_jpeg(data, colors, fastdct=True)
    except ValueError as error:
        return _check_damage(error)
    # Of CMYK, only whether it is whole was asked.
    return (
        None if colors == "CMYK" else apply_orientation(pixels, read_orientation(data))
    )


def decode_box(
    data: bytes, choose: Callable[[Size], Box], min_size: Size | None
) -> np.ndarray | None:
    """Returns the box of the image, shrunk if ``min_size`` allows it, or None.

    This thread's next call overwrites the memory of the pixels: fresh memory costs
    a seventh of the time of decoding a 500x375 photograph.

    Raises:
      Damage: a part of the image that was decoded is lost.
    """
    header = _read_header(data)
    if header is None or header[1] == "CMYK" or read_orientation(data) != 1:
        return None
    size = header[0]
    top, _, height, width = box = choose(size)
    shrink = find_shrink_factor(box, min_size)
    if (height, width) != size:
        decoder = turbojpeg.find_decoder()
        if decoder:
            pixels = decoder.decode_box(data, box, shrink)
            if pixels is not None:
                return pixels
        else:
            stop = top + height + _MARGIN
            rows = _stop_after(data, stop)
            if rows:
                pixels = _decode_shrunk(rows, (stop, size[1]), shrink, is_part=True)
                return None if pixels is None else _crop(pixels, box, shrink)
    pixels = _decode_shrunk(data, size, shrink)
    return None if pixels is None else _crop(pixels, box, shrink)


def _decode_shrunk(
    data: bytes, size: Size, shrink: int, is_part: bool = False
) -> np.ndarray | None:
    import simplejpeg

    height, width = (-(-side // shrink) for side in size)
    memory = _reserve_buffer(height * width * 3)
    try:
        return simplejpeg.decode_jpeg(
            data,
            "RGB",
            fastdct=True,
            min_height=height if shrink > 1 else 0,
            min_width=width if shrink > 1 else 0,
            min_factor=shrink,
            buffer=memory,
        )
    except ValueError as error:
        if is_part and "extraneous bytes before marker" in str(error):
            # That is the rest of the image, and the rows before it are in the memory.
            return memory[: height * width * 3].reshape(height, width, 3)
        return _check_damage(error)


def _check_damage(error: ValueError) -> None:
    """Raises Damage if that is what libjpeg complains of."""
    text = str(error)
    stray = re.search(r"(\d+) extraneous bytes", text)
    if text.startswith("Corrupt JPEG") and not (stray and int(stray[1]) < _STRAY):
        raise Damage(text) from error


def _crop(pixels: np.ndarray, box: Box, shrink: int) -> np.ndarray:
    top, left, height, width = (value // shrink for value in box)
    return pixels[top : top + height, left : left + width]


def _read_header(data: bytes) -> tuple[Size, str] | None:
    """Returns (height, width) and the colours of a JPEG that is not too large."""
    import simplejpeg

    if data[:2] != b"\xff\xd8":
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if int(height) * int(width) > MAX_PIXELS:
        return None
    if not data.endswith(_END) and data.find(_END, _find_scan(data)) < 0:
        raise Damage("the file ends before the image does")
    return (int(height), int(width)), "CMYK" if colors in ("CMYK", "YCCK") else colors


def _find_scan(data: bytes) -> int:
    """Returns where the image itself begins, behind a thumbnail that may be there."""
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1] != 0xDA:
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def find_shrink_factor(box: Box, min_size: Size | None) -> int:
    """Returns the power of two, up to 8, that leaves the box its minimum size."""
    if min_size is None:
        return 1
    ratio = min(box[2] / min_size[0], box[3] / min_size[1])
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or factor <= ratio)


def _stop_after(data: bytes, rows: int) -> bytes | None:
    """Returns the file with a header that says it has ``rows`` rows; None if it cannot.

    A baseline JPEG holds its rows from top to bottom, so a decoder that expects fewer stops
    there. (A progressive one does not, and its scans would no longer add up.)
    """
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xC0:  # start of frame: length (2), bits (1), height (2)
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            if rows >= height:
                return None
            row_bytes = rows.to_bytes(2, "big")
            return data[: position + 5] + row_bytes + data[position + 7 :]
        if marker in (0xC1, 0xC2, 0xDA) or 0xC5 <= marker <= 0xCB:
            return None
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _reserve_buffer(size: int) -> np.ndarray:
    """Returns this thread's memory, at least ``size`` bytes of it."""
    if size > _KEPT:
        return np.empty(size, np.uint8)
    memory = getattr(_memory, "buffer", None)
    if memory is None or memory.size < size:
        memory = _memory.buffer = np.empty(size, np.uint8)
    return memory
