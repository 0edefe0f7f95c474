"""From a position in the global order to an image: the whole of what is random here.

A position counts through all epochs and all hosts. What becomes of it depends on the
seed and on itself, never on who computes it.
"""

from collections.abc import Callable
from typing import Any

import grain
import numpy as np

from vit_jax.config import ConfigError, DataConfig
from vit_jax.data import crops
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.decode import DecodeError, decode_box
from vit_jax.data.jpeg import Box, Size
from vit_jax.data.sources import Source

Example = dict[str, Any]

# How many neighbours of an unreadable image are tried in its place.
_ATTEMPTS = 100


class TrainExamples:
    """Position -> ``image`` uint8 [h, w, 3] and ``label``: shuffle, decode, crop."""

    def __init__(
        self, source: Source, data: DataConfig, seed: int, bad_files: BadFiles
    ) -> None:
        self._source = source
        self._data = data
        self._bad_files = bad_files
        # Neighbouring seeds share nothing: not a permutation, not a crop.
        words = np.random.SeedSequence(seed).generate_state(3, np.uint64)
        self._shuffle_seed = int(words[0])
        self._crop_key = words[1:]

    def __call__(self, position: int) -> Example:
        size = self._source.num_examples
        epoch, place = divmod(position, size)
        index = grain.experimental.index_shuffle(
            place,
            max_index=size - 1,
            seed=(self._shuffle_seed + epoch) % 2**32,
            rounds=4,
        )
        rng = np.random.Generator(
            np.random.Philox(key=self._crop_key, counter=[0, 0, 0, position])
        )
        # A bad image gives way to its neighbour, so that every batch is full and the
        # same on every run.
        for attempt in range(_ATTEMPTS):
            example = self._read((index + attempt) % size, rng)
            if example is not None:
                return example
        raise ConfigError(
            f"images must be readable, got {_ATTEMPTS} in a row that are not, such as "
            f"{next(iter(self._bad_files.reasons))}; check the data"
        )

    def _read(self, index: int, rng: np.random.Generator) -> Example | None:
        data = self._data

        def choose(size: Size) -> Box:
            if data.train_crop == "resize":
                return 0, 0, *size
            return crops.sample_box(rng, size, data.crop_area, data.crop_aspect)

        min_size = data.image_size if data.shrink_on_decode else None
        box = _read_box(self._source, index, choose, min_size, data, self._bad_files)
        if box is None:
            return None
        image = crops.resize(box[0], data.image_size, data.interpolation)
        return {"image": image, "label": box[1]}


class EvalExamples:
    """Position -> ``image``, ``label`` and ``mask``; past the end there is padding."""

    def __init__(self, source: Source, data: DataConfig, bad_files: BadFiles) -> None:
        self._source = source
        self._data = data
        self._preprocessing = data.preprocessing
        self._bad_files = bad_files

    def __call__(self, position: int) -> Example:
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
            image = np.zeros((*self._preprocessing.image_size, 3), np.uint8)
            return {"image": image, "label": 0, "mask": False}
        image = crops.crop_eval(box[0], self._preprocessing)
        return {"image": image, "label": box[1], "mask": True}


def _read_box(
    source: Source,
    index: int,
    choose: Callable[[Size], Box],
    min_size: Size | None,
    data: DataConfig,
    bad_files: BadFiles,
) -> tuple[np.ndarray, int] | None:
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
