"""Arrays of a file that are read when they are used, one at a time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from einops import rearrange

Shape = tuple[int, ...]
Rows = tuple[int, int]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
# What a parameter may be. float64 is read, and becomes float32 in a model.
DTYPES = {np.dtype(t) for t in ("float16", "float32", "float64")} | {BFLOAT16}


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array in a folder of Orbax's, which reads each device's shard by itself.

    Attributes:
        folder: of the tree of arrays.
        name: of the array in it, ``a/b/c``.
        shape: of the array in it.
        layer: which row of its first axis is meant; None: the whole array.
    """

    folder: Path
    name: str
    shape: Shape
    layer: int | None = None


@dataclasses.dataclass(frozen=True)
class Lazy:
    """An array that `numpy.asarray` reads; until then it costs nothing.

    A load goes through a checkpoint array by array, so that the file is never in memory
    twice.

    Attributes:
        shape: known without reading.
        dtype: the file's own; one of DTYPES.
        read: returns the array, or rows (start, stop) of its first axis.
        stored: where its shards can be read without the whole; several: those stacked
            along a new first axis. Empty: only ``read`` has it.
    """

    shape: Shape
    dtype: np.dtype
    read: Callable[[Rows | None], np.ndarray]
    stored: tuple[Stored, ...] = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.read(None)
        return array if dtype is None else array.astype(dtype, copy=False)

    @property
    def size(self) -> int:
        """The number of elements; of any size without overflow."""
        return count_elements(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def part(self, index: int, num_parts: int) -> "Lazy":
        """Returns one of equal parts along the first axis; only that part is read."""
        rows = self.shape[0] // num_parts
        start = index * rows
        shape = (rows, *self.shape[1:])

        def read(within: Rows | None) -> np.ndarray:
            first, last = within or (0, rows)
            return self.read((start + first, start + last))

        return Lazy(shape, self.dtype, read) if num_parts > 1 else self

    def rearranged(self, pattern: str | None, **sizes: int) -> "Lazy":
        """Returns the array after `einops.rearrange`; None: as it is."""
        if pattern is None:
            return self
        shape = rearrange_shape(self.shape, pattern, **sizes)
        return self.map(lambda x: rearrange(x, pattern, **sizes), shape)

    def map(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        shape: Shape | None = None,
        dtype: Any = None,
    ) -> "Lazy":
        """Returns the array after ``function``, whose result has ``shape``."""
        shape = self.shape if shape is None else shape

        def read(rows: Rows | None) -> np.ndarray:
            array = function(self.read(None))
            assert array.shape == shape, f"{array.shape} is not {shape}"
            return array if rows is None else array[slice(*rows)]

        return Lazy(shape, np.dtype(dtype or self.dtype), read)


def make_lazy(array: Any) -> Lazy:
    """Returns an array in memory as a `Lazy`; one that is lazy already as it is."""
    if isinstance(array, Lazy):
        return array

    def read(rows: Rows | None) -> np.ndarray:
        whole = np.asarray(array)
        return whole if rows is None else whole[slice(*rows)]

    return Lazy(tuple(array.shape), np.dtype(array.dtype), read)


def stack_lazy(arrays: list[Lazy], pattern: str | None) -> Lazy:
    """Returns the arrays, each rearranged, joined along the first axis."""
    arrays = [array.rearranged(pattern) for array in arrays]
    if len(arrays) == 1:
        return arrays[0]
    rows = sum(array.shape[0] for array in arrays)
    return Lazy(
        (rows, *arrays[0].shape[1:]),
        arrays[0].dtype,
        lambda within: np.concatenate([np.asarray(a) for a in arrays])[
            slice(*(within or (None,)))
        ],
    )


def rearrange_shape(shape: Shape, pattern: str, **sizes: int) -> Shape:
    """Returns the shape after `einops.rearrange`, without an array.

    Raises:
        ValueError: if a shape does not fit the pattern.
    """
    # Every element of it is the same one, so that any reshape is a view.
    nothing = np.broadcast_to(np.float32(0), shape)
    try:
        return rearrange(nothing, pattern, **sizes).shape
    except Exception as error:  # einops raises its own
        raise ValueError(f"{shape} does not fit {pattern}") from error


def count_elements(shape: Shape) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
