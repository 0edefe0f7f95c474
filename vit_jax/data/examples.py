"""From a position in the global order to an image: the whole of what is random here.

A position counts through all epochs and all hosts. What becomes of it depends on the
seed and on itself, never on who computes it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.config.choices import TRAIN_CROPS
from vit_jax.data.augment.randaugment import apply_randaugment
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.images import crops
from vit_jax.data.images.decode import DecodeError, decode_box
from vit_jax.data.images.jpeg import Box, Size
from vit_jax.data.order import Order
from vit_jax.data.sources.source import Source
from vit_jax.errors import ConfigError

Example = dict[str, Any]

# How many neighbours of an unreadable image are tried instead.
_ATTEMPTS = 100


class TrainExamples:
    """Position -> an image written into ``out``, and its label.

    Shuffle, decode, crop, RandAugment.
    """

    def __init__(
        self, source: Source, data: DataConfig, seed: int, bad_files: BadFiles
    ) -> None:
        self._source = source
        self._data = data
        self._bad_files = bad_files
        # Neighbouring seeds share nothing: not a permutation, not a crop.
        words = np.random.SeedSequence(seed).generate_state(3, np.uint64)
        self._order = Order(
            source.num_examples, int(words[0]), data.repeated_augmentation
        )
        self._crop_key = words[1:]
        self._choose_box = TRAIN_CROPS.resolve(data.train_crop)

    def __call__(self, position: int, out: np.ndarray) -> Example:
        index = self._order(position)
        rng = np.random.Generator(
            np.random.Philox(key=self._crop_key, counter=[0, 0, 0, position])
        )
        # A bad image gives way to its neighbour, so that every batch is full and the
        # same on every run.
        for attempt in range(_ATTEMPTS):
            neighbour = (index + attempt) % self._source.num_examples
            example = self._read(neighbour, rng, out)
            if example is not None:
                return example
        raise ConfigError(
            f"images must be readable, got {_ATTEMPTS} in a row that are not, such as "
            f"{next(iter(self._bad_files.reasons))}; check the data"
        )

    def _read(
        self, index: int, rng: np.random.Generator, out: np.ndarray
    ) -> Example | None:
        data = self._data
        target = out.shape[0], out.shape[1]

        def choose(size: Size) -> Box:
            return self._choose_box(rng, size, data.crop_area, data.crop_aspect)

        min_size = target if data.shrink_on_decode else None
        box = _read_box(self._source, index, choose, min_size, data, self._bad_files)
        if box is None:
            return None
        crops.resize(box[0], target, data.interpolation, out)
        num_operations, magnitude = data.randaugment
        if num_operations:
            out[...] = apply_randaugment(out, rng, num_operations, magnitude)
        return {"label": box[1]}


class EvalExamples:
    """Position -> an image written into ``out``, its label and mask; then padding."""

    def __init__(self, source: Source, data: DataConfig, bad_files: BadFiles) -> None:
        self._source = source
        self._data = data
        self._preprocessing = data.preprocessing
        self._bad_files = bad_files

    def __call__(self, position: int, out: np.ndarray) -> Example:
        box = None
        if position < self._source.num_examples:
            # Not shrunk: what is measured must follow the definition to the pixel.
            box = _read_box(
                self._source,
                position,
                lambda size: (0, 0, *size),
                None,
                self._data,
                self._bad_files,
            )
        if box is None:
            out[...] = 0
            return {"label": self._no_label, "mask": False}
        crops.crop_eval(box[0], self._preprocessing, out)
        return {"label": box[1], "mask": True}

    @property
    def _no_label(self) -> int | np.ndarray:
        if self._source.multi_label:
            return np.zeros(self._source.num_classes, np.uint8)
        return 0


def _read_box(
    source: Source,
    index: int,
    choose: Callable[[Size], Box],
    min_size: Size | None,
    data: DataConfig,
    bad_files: BadFiles,
) -> tuple[np.ndarray, int | np.ndarray] | None:
    """Returns pixels (see ``decode_box``) and label, or None if they cannot be read.

    Raises:
      DecodeError: they cannot be read, and ``data.strict``.
    """
    name = f"#{index}"
    try:
        example = source[index]
        name = example["name"]
        box = decode_box(example["image"], choose, name=name, min_size=min_size)
        return box, example["label"]
    except DecodeError as error:
        failure = error
    except OSError as error:
        name = error.filename or name
        failure = DecodeError(
            f"image must be readable, got {name} ({error.strerror}); "
            "replace or remove it"
        )
    if data.strict:
        raise failure
    bad_files.add(name, str(failure))
    return None
