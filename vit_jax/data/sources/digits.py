"""``digits``: 1,797 real handwritten digits, written once as a TFDS dataset.

The data come with scikit-learn, so that a first training needs no download:
https://archive.ics.uci.edu/dataset/80 (Alpaydin and Kaynak, 1998), 8x8 pixels.
"""

import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.images.decode import decode
from vit_jax.data.sources.array_records import write_dataset
from vit_jax.data.sources.splits import split_stratified
from vit_jax.data.sources.tfds import TfdsSource, open_tfds
from vit_jax.errors import ConfigError
from vit_jax.storage.cache import find_cache_folder

VERSION = "1.0.0"  # raise it when the bytes written change


class DigitsSource:
    """A split of the prepared digits, decoded and kept in memory, for they are small.

    On a CPU the loader and the model share the cores: what one saves, the other gets.
    """

    multi_label = False

    def __init__(self, source: TfdsSource) -> None:
        self.class_names, self.num_classes = source.class_names, source.num_classes
        self.num_examples = source.num_examples
        self._examples = [
            {**example, "image": decode(example["image"], name=example["name"])}
            for example in (source[i] for i in range(len(source)))
        ]

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._examples[index]


def open_digits(
    location: str, split: str, data: DataConfig | None = None
) -> DigitsSource:
    """Returns a split of the digits, which are prepared if need be.

    Raises:
      ConfigError: no such split, or the cache folder cannot be written.
    """
    return DigitsSource(open_tfds(str(prepare_digits()), split))


def prepare_digits(data_dir: pathlib.Path | None = None) -> pathlib.Path:
    """Returns the folder of the prepared dataset, writing it if it is not there.

    It is written beside its final path and then renamed: whoever looks finds nothing or
    all of it, also when two processes write at once or one is killed.

    Raises:
      ConfigError: the folder cannot be written.
    """
    data_dir = data_dir or find_cache_folder()
    final = data_dir / "digits" / VERSION
    if final.exists():
        return final
    unfinished = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = pathlib.Path(tempfile.mkdtemp(prefix=".digits-", dir=data_dir))
        folder = unfinished / "digits" / VERSION  # TFDS reads its name off the path
        folder.mkdir(parents=True)
        _write(folder)
        os.rename(folder, final)
    except OSError as error:
        if not final.exists():  # else another process was faster
            raise ConfigError(
                f"the cache folder must be writable, got {data_dir} "
                f"({error.strerror}); set VIT_JAX_CACHE to a folder that is"
            ) from error
    finally:
        if unfinished:
            shutil.rmtree(unfinished, ignore_errors=True)
    return final


def _write(folder: pathlib.Path) -> None:
    """Writes both splits and their metadata, without TensorFlow."""
    images, labels = load_arrays()
    names = [f"digits/{i}" for i in range(len(labels))]
    parts = zip(("train", "test"), split_stratified(names, labels), strict=True)

    def examples(indices: np.ndarray) -> Iterator[dict[str, Any]]:
        for i in indices:
            yield {"image": _encode_png(images[i]), "label": int(labels[i])}

    write_dataset(
        folder,
        {split: (len(indices), examples(indices)) for split, indices in parts},
        class_names=[str(i) for i in range(10)],
        image={"shape": (8, 8, 1), "encoding_format": "png"},
        description="The test set of the UCI handwritten digits, 8x8 pixels.",
        homepage="https://archive.ics.uci.edu/dataset/80",
    )


def load_arrays() -> tuple[np.ndarray, np.ndarray]:
    """Returns all images, uint8 [1797, 8, 8], and their labels, int64 [1797]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    sixteenths = np.asarray(pixels).astype(np.uint16).reshape(-1, 8, 8)  # 0..16
    # In integers, halves up: no platform rounds this in its own way.
    return ((sixteenths * 255 + 8) // 16).astype(np.uint8), np.asarray(labels)


def _encode_png(image: np.ndarray) -> io.BytesIO:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    buffer.seek(0)
    return buffer
