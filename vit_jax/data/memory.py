"""Batches put together without a copy: threads write images where they will stay."""

import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np

Size = tuple[int, int]  # height, width in pixels
Batch = dict[str, np.ndarray]


# Batches of one size that are kept to be filled again. Fresh memory costs as much as
# a twentieth of decoding: the system clears each page when it is first touched.
_KEPT = 8


class BatchMemory:
    """Hands out the parts of batches, each once, to any number of threads.

    Args:
      rows: images in a batch.
      part: images in a part; divides ``rows``.
      size_at: step -> the images' (height, width).
      shared: False where parts of one batch are filled by several processes; then each
        part has memory of its own, and ``join`` copies.
    """

    def __init__(
        self, rows: int, part: int, size_at: Callable[[int], Size], shared: bool = True
    ) -> None:
        self._rows = rows
        self._part = part
        self._size_at = size_at
        self._shared = shared
        self._lock = threading.Lock()
        self._open: dict[int, tuple[np.ndarray, int]] = {}  # batch, parts to hand out
        self._pool: list[np.ndarray] = []

    def part(self, number: int) -> np.ndarray:
        """Returns memory for the ``number``-th part of all: uint8 [part, h, w, 3]."""
        parts = self._rows // self._part
        step, index = divmod(number, parts)
        size = self._size_at(step)
        if not self._shared:
            return np.empty((self._part, *size, 3), np.uint8)
        with self._lock:
            batch, left = self._open.pop(step, (None, parts))
            if batch is None:
                batch = self._make_batch((self._rows, *size, 3))
            if left > 1:
                self._open[step] = batch, left - 1
        return batch[index * self._part : (index + 1) * self._part]

    def _make_batch(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns a batch that nobody holds any longer, or a new one."""
        if self._pool and self._pool[0].shape != shape:
            self._pool.clear()
        for i in range(len(self._pool)):
            # Two references: the pool's and that of the call. A view, a batch not yet
            # dropped or one on its way to a device would be a third.
            if sys.getrefcount(self._pool[i]) == 2:
                return self._pool[i]
        batch = np.empty(shape, np.uint8)
        if len(self._pool) < _KEPT:
            self._pool.append(batch)
        return batch

    def join(self, parts: Sequence[Batch]) -> Batch:
        """Returns the batch that the parts make up, in their order."""
        batch = {
            key: np.concatenate([part[key] for part in parts])
            for key in parts[0]
            if key != "image" or not self._shared
        }
        if self._shared:
            whole = parts[0]["image"].base
            assert whole is not None
            batch["image"] = whole
        return batch

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None, "_open": {}, "_pool": []}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
