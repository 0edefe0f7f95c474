"""Images written as a TFDS dataset of ArrayRecord files, without TensorFlow."""

import itertools
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PER_SHARD = 10_000  # images in one file


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
      description: for the metadata.
      homepage: a link.
    """
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(**(image or {})),
            "label": tfds.features.ClassLabel(names=list(class_names)),
        }
    )
    infos = [
        _write_split(folder, split, count, examples, features)
        for split, (count, examples) in splits.items()
    ]
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


def _write_split(
    folder: pathlib.Path,
    split: str,
    count: int,
    examples: Iterable[dict[str, Any]],
    features: Any,
) -> Any:
    """Writes the shards of a split; returns its TFDS ``SplitInfo``."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from etils import epath
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    serializer = ExampleSerializer(features.get_serialized_info())
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
        # One record a group, as TFDS has it: a random read decompresses no neighbour.
        writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
        for _ in range(length):
            example = features.encode_example(next(iterator))
            record = serializer.serialize_example(example)
            num_bytes += len(record)
            writer.write(record)
        writer.close()
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=lengths,
        num_bytes=num_bytes,
        filename_template=template,
    )
