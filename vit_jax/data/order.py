"""The global order of the training images: another permutation in every epoch."""

import functools

import grain
import numpy as np

# Grain's cipher covers 65,536 positions or more and walks until it lands inside: up to a
# millisecond for a small data set, for which a table is small as well.
_TABLE_SIZE = 2**16


class Order:
    """Position in the endless stream -> index of an example.

    Args:
      size: the number of examples.
      seed: of the permutations, below 2**63.
      repeats: how often an image is taken in a row, each time for an augmentation of
        its own (Hoffer et al., "Augment Your Batch", 2020; DeiT: 3). An epoch is then
        ``repeats`` times as long.
    """

    def __init__(self, size: int, seed: int, repeats: int = 1) -> None:
        self._size = size
        self._seed = seed
        self._repeats = repeats

    def __call__(self, position: int) -> int:
        epoch, offset = divmod(position // self._repeats, self._size)
        if self._size <= _TABLE_SIZE:
            return int(_permute(self._size, self._seed, epoch)[offset])
        return grain.experimental.index_shuffle(
            offset,
            max_index=self._size - 1,
            seed=(self._seed + epoch) % 2**32,
            rounds=4,
        )


@functools.lru_cache(maxsize=8)
def _permute(size: int, seed: int, epoch: int) -> np.ndarray:
    """Returns a permutation, uint32 [size], the same in every NumPy.

    (NumPy keeps the raw bits of its generators, not what ``permutation`` makes of them.)
    """
    bits = np.random.Philox(key=seed, counter=[0, 0, 0, epoch]).random_raw(size)
    return np.argsort(bits, kind="stable").astype(np.uint32)
