"""Image files in memory."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    """Returns an image file that holds ``pixels``."""
    return encode_image(Image.fromarray(pixels), format, **options)


def encode_image(image: Image.Image, format: str, **options: object) -> bytes:
    """Returns an image file that holds ``image``."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def encode_header(side: int, format: str) -> bytes:
    """Returns a small file that says it is ``side`` by ``side`` pixels."""
    small = encode(np.zeros((17, 17), np.uint8), format)
    width = 4 if format == "PNG" else 2
    old, new = (17).to_bytes(width, "big") * 2, side.to_bytes(width, "big") * 2
    assert small.count(old) == 1
    data = small.replace(old, new)
    if format == "PNG":  # its header carries a checksum: IHDR is bytes 12 to 29
        data = data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]
    return data
