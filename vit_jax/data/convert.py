"""A source written once more, as the TFDS dataset that is read fastest."""

import io
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.sources.array_records import write_dataset
from vit_jax.data.sources.registry import make_source
from vit_jax.errors import ConfigError


def convert_source(
    source: str,
    output: pathlib.Path,
    splits: Sequence[str] = ("train", "test"),
    data_dir: str | None = None,
) -> dict[str, int]:
    """Writes splits of a source below ``output/NAME/1.0.0``; returns their sizes.

    Images are copied byte for byte, in the order of the source. The dataset is read with
    ``data.source=tfds:NAME`` and ``data.data_dir=output``, one image at a time at
    random: for many small files on slow disks, or for Parquet.

    Args:
      source: as ``data.source`` in a config.
      output: a folder; its last part names the dataset.
      splits: of the source: names without a slice, which stay their names.
      data_dir: the folder of TFDS datasets, if one is converted.

    Raises:
      ConfigError: no such source or split, several labels per image, or the dataset is
        there already.
    """
    data = DataConfig(source=source, data_dir=data_dir, image_size=(1, 1), batch_size=1)
    images = {split: make_source(data, split) for split in splits}
    first = images[splits[0]]
    if first.multi_label:
        raise ConfigError(
            f"images must have one label each to be converted, got several in {source}"
        )
    final = output / "1.0.0"
    if final.exists():
        raise ConfigError(f"output must be new, got {final}, which exists; remove it")
    names = first.class_names or tuple(map(str, range(first.num_classes)))

    def examples(split: str) -> Iterable[dict[str, Any]]:
        for i in range(len(images[split])):
            example = images[split][i]
            yield {"image": _encode(example["image"]), "label": int(example["label"])}

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".convert-", dir=output.parent
    ) as unfinished:
        folder = pathlib.Path(unfinished) / output.name / "1.0.0"
        folder.mkdir(parents=True)
        write_dataset(
            folder,
            {split: (len(images[split]), examples(split)) for split in splits},
            class_names=names,
            description=f"Converted from {source}.",
        )
        output.mkdir(exist_ok=True)
        shutil.move(folder, final)
    return {split: len(images[split]) for split in splits}


def _encode(image: bytes | np.ndarray) -> io.BytesIO:
    if isinstance(image, bytes):
        return io.BytesIO(image)
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    buffer.seek(0)
    return buffer
