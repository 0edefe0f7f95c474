"""Which way up a JPEG is, by its EXIF.

Own code, for each image of training: Pillow would have to open it first.
"""

import struct

import numpy as np


def read_orientation(data: bytes) -> int:
    """Returns what EXIF says of how to turn the image: 1 (not at all) to 8."""
    # EXIF comes first, if at all. Looking further would cost more than the header.
    start = data.find(b"Exif\x00\x00", 0, 4096) + 6
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    if start < 6 or order is None:
        return 1
    try:
        (table,) = struct.unpack_from(f"{order}I", data, start + 4)
        (count,) = struct.unpack_from(f"{order}H", data, start + table)
        for entry in range(start + table + 2, start + table + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # it points past the end of the file
        pass
    return 1


def apply_orientation(pixels: np.ndarray, how: int) -> np.ndarray:
    """Returns the pixels as they should be seen (EXIF 2.3, tag 274)."""
    if how == 1:
        return pixels
    import cv2  # much faster at this than NumPy

    if how >= 5:
        pixels = cv2.transpose(pixels)
    across, down = how in (2, 3, 6, 7), how in (3, 4, 7, 8)
    if across or down:
        pixels = cv2.flip(pixels, -1 if across and down else int(across))
    return pixels
