"""libjpeg-turbo's own interface, to decode the crop of a JPEG and no more. Own code.

simplejpeg and PyTurboJPEG wrap the same library without its regions. Without them an
Inception crop costs 1.23 times the CPU time (`benchmarks/jpeg.py`) and has the same
pixels. The library is that of the ``turbojpeg`` wheel (the extra ``jpeg``) or the
system's ``libturbojpeg`` (3.0 or later).
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import threading
from pathlib import Path

import numpy as np

_DECOMPRESS = 1  # TJINIT_DECOMPRESS
_PARAMETERS = {
    "stop_on_warning": 0,
    "subsampling": 4,
    "width": 5,
    "height": 6,
    "fast_dct": 10,
}

# Pixels of the unit that a crop must begin at, by subsampling: 444, 422, 420, gray,
# 440, 411, 441.
_UNIT = (8, 16, 16, 8, 8, 32, 8)

# Colour at the edge of a crop is interpolated as at the edge of an image: one more
# unit on each side, and the box itself is as in the whole image.
_MARGIN = 1


class _Region(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int) for name in ("x", "y", "w", "h"))


class _Factor(ctypes.Structure):
    _fields_ = (("num", ctypes.c_int), ("denom", ctypes.c_int))


class Decoder:
    """One thread's decoder, and its memory."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle = library.tj3Init(_DECOMPRESS)
        self._memory = np.empty(0, np.uint8)
        for name in ("stop_on_warning", "fast_dct"):
            library.tj3Set(self._handle, _PARAMETERS[name], 1)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.tj3Destroy(self._handle)

    def decode_box(
        self, data: bytes, box: tuple[int, int, int, int], shrink: int
    ) -> np.ndarray | None:
        """Returns the box in RGB, shrunk by 1, 2, 4 or 8; None: damage, or odd file.

        The pixels are overwritten by the next call.
        """
        library, handle = self._library, self._handle
        library.tj3SetCroppingRegion(handle, _Region())
        if library.tj3DecompressHeader(handle, data, len(data)):
            return None
        subsampling, image_width, image_height = (
            library.tj3Get(handle, _PARAMETERS[name])
            for name in ("subsampling", "width", "height")
        )
        if not 0 <= subsampling < len(_UNIT):
            return None
        unit = _UNIT[subsampling] // shrink or 1
        image_width = -(-image_width // shrink)
        image_height = -(-image_height // shrink)
        top, left, height, width = (value // shrink for value in box)
        # A crop begins at a unit; rows may begin anywhere, but need their neighbours.
        first = max(0, left // unit - _MARGIN) * unit
        end = min(image_width, (-(-(left + width) // unit) + _MARGIN) * unit)
        above = min(top, 2)
        stop = min(image_height, top + height + 2)
        region = _Region(first, top - above, end - first, stop - top + above)
        size = region.h * region.w * 3
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        if (
            library.tj3SetScalingFactor(handle, _Factor(1, shrink))
            or library.tj3SetCroppingRegion(handle, region)
            or library.tj3Decompress8(
                handle, data, len(data), self._memory.ctypes.data, 0, 0
            )
        ):
            return None
        pixels = self._memory[:size].reshape(region.h, region.w, 3)
        return pixels[above : above + height, left - first : left - first + width]


_local = threading.local()


def find_decoder() -> Decoder | None:
    """Returns this thread's decoder, or None without the library."""
    library = _load()
    if library is None:
        return None
    if not hasattr(_local, "decoder"):
        _local.decoder = Decoder(library)
    return _local.decoder


@functools.cache
def _load() -> ctypes.CDLL | None:
    """Returns the library with its functions' types, or None."""
    wheel = importlib.util.find_spec("turbojpeg")
    origin = Path(wheel.origin).parent if wheel and wheel.origin else None
    paths = sorted(origin.glob("turbojpeg.libs/libturbojpeg*")) if origin else []
    for path in (*map(str, paths), ctypes.util.find_library("turbojpeg")):
        try:
            library = ctypes.CDLL(path) if path else None
            if library is not None:
                return _declare(library)
        except (OSError, AttributeError):  # cannot be loaded, or is of version 2
            continue
    return None


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    handle, data, size, number = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
    )
    for name, arguments in {
        "tj3Init": (number,),
        "tj3Destroy": (handle,),
        "tj3Set": (handle, number, number),
        "tj3Get": (handle, number),
        "tj3DecompressHeader": (handle, data, size),
        "tj3SetScalingFactor": (handle, _Factor),
        "tj3SetCroppingRegion": (handle, _Region),
        "tj3Decompress8": (handle, data, size, handle, number, number),
    }.items():
        getattr(library, name).argtypes = arguments
    library.tj3Init.restype = handle
    library.tj3Destroy.restype = None
    return library
