"""Grain: shuffle, decode and crop, give each host its rows, batch, pad and mask.

The order is a function of (seed, step, global batch size) alone. Every example has a
global position, which counts through all epochs; shuffling and the random crop follow
that position, whoever computes it. Hence threads, hosts and restarts change nothing.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np

from vit_jax.config import ConfigError, DataConfig
from vit_jax.data import crops
from vit_jax.data.decode import decode_box
from vit_jax.data.jpeg import Box
from vit_jax.data.sources import Source

Batch = dict[str, np.ndarray]

# Threads fetch this many examples at a time: fewer would make Python's hand-over of
# work costly, more would make the first batch late.
_CHUNK = 16


class TrainBatches(Iterator[Batch]):
    """Endless batches of one host: uint8 ``image`` [b, h, w, 3], int32 ``label`` [b].

    Reading starts with the first ``next``. The state is the number of batches drawn,
    so a restore costs nothing, whatever the position.
    """

    def __init__(self, make: Callable[[int], grain.DatasetIterator[Batch]]) -> None:
        self._make = make
        self._step = 0
        self._batches: grain.DatasetIterator[Batch] | None = None

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._make(self._step)
        batch = next(self._batches)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Returns what ``set_state`` needs to go on behind the last batch drawn."""
        return {"step": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a position, forwards or backwards."""
        self.close()
        self._step = int(state["step"])

    def close(self) -> None:
        """Stops reading ahead; the next ``next`` starts it again.

        Without it a program still ends, once what is queued has been read.
        """
        if self._batches is not None:
            self._batches.close()
            self._batches = None


class EvalBatches:
    """All batches of one host, from the start each time it is iterated over.

    As ``TrainBatches``, with ``mask``, bool [b]: False where the last batch is padded.

    Attributes:
      num_examples: how many are not padding, over all hosts.
    """

    def __init__(
        self,
        make: Callable[[], grain.DatasetIterator[Batch]],
        steps: int,
        num_examples: int,
    ) -> None:
        self._make = make
        self._steps = steps
        self.num_examples = num_examples

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        batches = self._make()
        try:
            yield from batches
        finally:
            batches.close()


def train_batches(
    source: Source,
    data: DataConfig,
    *,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> TrainBatches:
    """Returns this host's part of the training batches, without end.

    Host ``p`` of ``P`` holds the rows ``[p * B / P, (p + 1) * B / P)`` of the global
    batch. Each epoch is a new permutation; a batch may begin one epoch and end in the
    next, so no example is left out.

    Raises:
      ConfigError: the hosts cannot share the batch equally.
    """
    rows = _Rows(data.batch_size, process_index, process_count, "data.batch_size")
    # Neighbouring seeds must not share permutations: Grain adds the epoch to its seed.
    shuffle_seed, crop_seed = np.random.SeedSequence(seed).generate_state(2)
    examples = (
        grain.MapDataset.source(source)
        .shuffle(seed=int(shuffle_seed))
        .repeat()
        .random_map(_TrainExample(data), seed=int(crop_seed))
    )
    return TrainBatches(
        lambda step: _read(_HostRows(examples, rows, step), rows.local, data)
    )


def eval_batches(
    source: Source,
    data: DataConfig,
    *,
    process_index: int = 0,
    process_count: int = 1,
) -> EvalBatches:
    """Returns this host's part of the evaluation batches: every example exactly once.

    All hosts get the same number of batches; what is missing in the last is filled
    with zeros and masked.

    Raises:
      ConfigError: the hosts cannot share the batch equally.
    """
    batch_size = data.eval_batch_size or data.batch_size
    rows = _Rows(batch_size, process_index, process_count, "data.eval_batch_size")
    steps = math.ceil(source.num_examples / batch_size)
    examples = grain.MapDataset.range(steps * batch_size).map(
        _EvalExample(source, data)
    )
    return EvalBatches(
        lambda: _read(_HostRows(examples, rows), rows.local, data),
        steps,
        source.num_examples,
    )


class _TrainExample:
    """From a source's example to a training image: decode and crop."""

    def __init__(self, data: DataConfig) -> None:
        self._data = data

    def __call__(
        self, example: dict[str, Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        data = self._data

        def choose(size: tuple[int, int]) -> Box:
            if data.train_crop == "resize":
                return 0, 0, *size
            return crops.sample_box(rng, size, data.crop_area, data.crop_aspect)

        box = decode_box(
            example["image"],
            choose,
            name=example["name"],
            min_size=data.image_size if data.shrink_on_decode else None,
        )
        image = crops.resize(box, data.image_size, data.interpolation)
        return {"image": image, "label": np.int32(example["label"])}


class _EvalExample:
    """From a position to an evaluation image; past the end, to padding."""

    def __init__(self, source: Source, data: DataConfig) -> None:
        self._source = source
        self._preprocessing = data.preprocessing

    def __call__(self, index: int) -> dict[str, Any]:
        if index >= self._source.num_examples:
            image = np.zeros((*self._preprocessing.image_size, 3), np.uint8)
            return {"image": image, "label": np.int32(0), "mask": np.False_}
        example = self._source[index]
        # Not shrunk: what is measured must follow the definition to the pixel.
        image = decode_box(
            example["image"], lambda size: (0, 0, *size), name=example["name"]
        )
        image = crops.crop_eval(image, self._preprocessing)
        return {"image": image, "label": np.int32(example["label"]), "mask": np.True_}


class _Rows:
    """Which rows of a global batch a host holds."""

    def __init__(self, batch_size: int, index: int, count: int, what: str) -> None:
        if batch_size % count:
            raise ConfigError(
                f"{what} must be a multiple of the number of hosts ({count}), "
                f"got {batch_size}; try {math.ceil(batch_size / count) * count}"
            )
        self.batch_size = batch_size
        self.local = batch_size // count
        self._offset = index * self.local

    def position(self, index: int) -> int:
        """Returns the global position of this host's ``index``-th example."""
        step, row = divmod(index, self.local)
        return step * self.batch_size + self._offset + row


class _HostRows(grain.MapDataset):
    """One host's examples, from a step on. Behind all randomness, which is global."""

    def __init__(self, parent: grain.MapDataset, rows: _Rows, start: int = 0) -> None:
        super().__init__(parent)
        self._rows = rows
        self._start = start * rows.local

    def __len__(self) -> int:
        return (
            len(self._parent) // self._rows.batch_size * self._rows.local - self._start
        )

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.slice(index)
        return self._parent[self._rows.position(self._start + index)]


def _read(
    examples: grain.MapDataset, batch_size: int, data: DataConfig
) -> grain.DatasetIterator[Batch]:
    """Starts the threads; two batches, and work for every thread, are read ahead."""
    chunk = max(size for size in range(1, _CHUNK + 1) if batch_size % size == 0)
    num_threads = data.num_threads or _num_cpus()
    ahead = max(2 * batch_size // chunk, 2 * num_threads)
    chunks = examples.batch(chunk).to_iter_dataset(
        grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=ahead)
    )
    return iter(chunks.batch(batch_size // chunk, batch_fn=_concatenate))


def _concatenate(chunks: Sequence[Batch]) -> Batch:
    return {key: np.concatenate([each[key] for each in chunks]) for key in chunks[0]}


def _num_cpus() -> int:
    """Returns the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
