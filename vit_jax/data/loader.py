"""Grain: give each host its rows, read ahead in threads, batch.

The order is a function of (seed, step, global batch size) alone: threads, hosts and
restarts change nothing, since each example follows its position in the global order.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence

import grain
import numpy as np
from absl import flags

from vit_jax.config import DataConfig
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.examples import EvalExamples, Example, TrainExamples
from vit_jax.data.memory import Batch, BatchMemory, Size
from vit_jax.data.sources.source import Source
from vit_jax.errors import ConfigError

# Threads fetch this many examples at a time: fewer would make Python's hand-over of
# work costly, more would make the first batch late.
_CHUNK = 16

_NEVER = 2**40  # steps; positions stay within 64 bits


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
        """Returns what ``set_state`` needs to continue after the last batch drawn."""
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
    bad_files: BadFiles | None = None,
    size_at: Callable[[int], Size] | None = None,
) -> TrainBatches:
    """Returns this host's part of the training batches, without end.

    Host ``p`` of ``P`` holds the rows ``[p * B / P, (p + 1) * B / P)`` of the global
    batch. Each epoch is a new permutation; a batch may begin one epoch and end in the
    next, so no example is left out.

    Args:
      source: the images.
      data: how they are cropped, ``batch_size``, ``num_threads``, ``num_workers`` and
        ``strict``.
      seed: of the order and of the crops.
      process_index: which host this is.
      process_count: of how many.
      bad_files: collects what cannot be read, unless ``data.strict``.
      size_at: step -> (height, width) of its images; None: always
        ``data.image_size``.

    Raises:
      ConfigError: the hosts cannot share the batch equally. Drawing a batch raises
        DecodeError for an unreadable image if ``data.strict``.
    """
    rows = _Rows(data.batch_size, process_index, process_count, "data.batch_size")
    examples = TrainExamples(source, data, seed, _make_bad_files(bad_files, data))
    sizes = size_at or (lambda step: data.image_size)
    return TrainBatches(lambda step: _read(examples, rows, data, sizes, start=step))


def eval_batches(
    source: Source,
    data: DataConfig,
    *,
    process_index: int = 0,
    process_count: int = 1,
    bad_files: BadFiles | None = None,
) -> EvalBatches:
    """Returns this host's part of the evaluation batches: every example exactly once.

    All hosts get the same number of batches; what is missing in the last is filled
    with zeros and masked, and so is an unreadable image unless ``data.strict``.

    Args: as for ``train_batches``; batches have ``data.eval_batch_size``.

    Raises: as ``train_batches``.
    """
    batch_size = data.eval_batch_size or data.batch_size
    rows = _Rows(batch_size, process_index, process_count, "data.eval_batch_size")
    steps = math.ceil(source.num_examples / batch_size)
    examples = EvalExamples(source, data, _make_bad_files(bad_files, data))

    def make() -> grain.DatasetIterator[Batch]:
        return _read(examples, rows, data, lambda step: data.image_size, stop=steps)

    return EvalBatches(make, steps, source.num_examples)


def _make_bad_files(bad_files: BadFiles | None, data: DataConfig) -> BadFiles:
    return BadFiles(limit=data.max_bad_files) if bad_files is None else bad_files


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


def _read(
    examples: Callable[[int, np.ndarray], Example],
    rows: _Rows,
    data: DataConfig,
    size_at: Callable[[int], Size],
    start: int = 0,
    stop: int = _NEVER,
) -> grain.DatasetIterator[Batch]:
    """Starts threads or processes; two batches, and work for each, are read ahead."""
    chunk = max(size for size in range(1, _CHUNK + 1) if rows.local % size == 0)
    parts = rows.local // chunk
    workers = data.num_workers
    threads = data.num_threads or max(1, count_cpus() // max(1, workers))
    memory = BatchMemory(rows.local, chunk, size_at, shared=not workers)

    def read_chunk(number: int) -> Batch:
        number += start * parts
        images = memory.part(number)
        first = number * chunk
        labels = [
            examples(rows.position(first + i), image) for i, image in enumerate(images)
        ]
        return {"image": images, **_stack(labels)}

    ahead = max(2 * parts, 2 * threads * max(1, workers))
    chunks = (
        grain.MapDataset.range((stop - start) * parts)
        .map(read_chunk)
        .to_iter_dataset(
            grain.ReadOptions(
                num_threads=threads,
                prefetch_buffer_size=-(-ahead // max(1, workers)),
            )
        )
    )
    if workers:
        if not flags.FLAGS.is_parsed():  # Grain's processes ask for flags of its own
            flags.FLAGS.mark_as_parsed()
        chunks = chunks.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=workers, per_worker_buffer_size=-(-parts // workers)
            )
        )
    return iter(chunks.batch(parts, batch_fn=memory.join))


def _stack(examples: Sequence[Example]) -> Batch:
    labels = np.stack([example["label"] for example in examples])
    stacked = {"label": labels if labels.ndim > 1 else labels.astype(np.int32)}
    if "mask" in examples[0]:
        stacked["mask"] = np.array([example["mask"] for example in examples])
    return stacked


def count_cpus() -> int:
    """Returns the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
