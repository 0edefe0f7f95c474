"""Writes images as a TFDS dataset of ArrayRecord files, without TensorFlow."""

import io
import itertools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.sources import make_source
from vit_jax.errors import ConfigError

_PER_SHARD = 10_000  # images in one file


def convert_source(
    source: str,
    output: pathlib.Path,
    splits: Sequence[str] = ("train", "test"),
    data_dir: str | None = None,
) -> dict[str, int]:
    """Writes splits of a source below ``output/NAME/1.0.0``; returns their sizes.

    Images are copied byte for byte, in the order of the source. The result is read with
    ``data.source=tfds:NAME`` and ``data.data_dir=output``, one image at a time at
    random: for what lies on slow disks in many small files, or in Parquet.

    Args:
      source: as ``data.source`` in a config.
      output: a folder; its last part names the dataset.
      splits: of the source: names without a slice, which stay their names.
      data_dir: where TFDS datasets lie that are converted.

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
            yield {"image": _encoded(example["image"]), "label": int(example["label"])}

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


def _encoded(image: bytes | np.ndarray) -> io.BytesIO:
    if isinstance(image, bytes):
        return io.BytesIO(image)
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


def write_dataset(
    folder: pathlib.Path,
    splits: Mapping[str, tuple[int, Iterable[dict[str, Any]]]],
    *,
    class_names: Sequence[str],
    image: Mapping[str, Any] | None = None,
    description: str = "",
    homepage: str = "",
) -> None:
    """Writes splits and their metadata into an empty folder ``.../NAME/VERSION``.

    Args:
      folder: TFDS reads the dataset's name and version off its path.
      splits: name -> (number of examples, ``image`` as a file in memory and ``label``).
      class_names: in the order of the labels.
      image: what is known of all images: ``shape``, ``encoding_format``.
      description: what the metadata say.
      homepage: a link.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from etils import epath
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(**(image or {})),
            "label": tfds.features.ClassLabel(names=list(class_names)),
        }
    )
    specs: Any = features.get_serialized_info()
    serializer = ExampleSerializer(specs)
    infos = []
    for split, (count, examples) in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=epath.Path(folder),
            dataset_name=folder.parent.name,
            split=split,
            filetype_suffix="array_record",
        )
        num_shards = max(1, -(-count // _PER_SHARD))
        bounds = [count * i // num_shards for i in range(num_shards + 1)]
        lengths = [stop - start for start, stop in itertools.pairwise(bounds)]
        iterator, num_bytes = iter(examples), 0
        for shard, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=shard, num_shards=num_shards)
            # One record a group, as TFDS has it: a random read decompresses no
            # neighbour.
            writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
            for _ in range(length):
                record = serializer.serialize_example(
                    features.encode_example(next(iterator))
                )
                num_bytes += len(record)
                writer.write(record)
            writer.close()
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=lengths,
                num_bytes=num_bytes,
                filename_template=template,
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=infos,
        version=folder.name,
        description=description,
        homepage=homepage,
        supervised_keys=("image", "label"),
        check_data=False,  # the check would import TensorFlow
    )
