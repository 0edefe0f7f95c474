"""``digits``: 1,797 real handwritten digits, written once as a TFDS dataset.

The data come with scikit-learn, so that a first training needs no download:
https://archive.ics.uci.edu/dataset/80 (Alpaydin and Kaynak, 1998), 8x8 pixels.
"""

import io
import os
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np

from vit_jax.config import ConfigError
from vit_jax.data.splits import stratified_split

VERSION = "1.0.0"  # raise it when the bytes written change


def cache_dir() -> pathlib.Path:
    """Returns the folder of what can be made again: $VIT_JAX_CACHE or a default."""
    default = pathlib.Path("~/.cache/vit_jax")
    return pathlib.Path(os.environ.get("VIT_JAX_CACHE") or default).expanduser()


def prepare_digits(data_dir: pathlib.Path | None = None) -> pathlib.Path:
    """Returns the folder of the prepared dataset, writing it if it is not there.

    It is written beside its place and renamed into it: whoever looks finds nothing or
    all of it, also when two processes write at once or one is killed.

    Raises:
      ConfigError: the folder cannot be written.
    """
    data_dir = data_dir or cache_dir()
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
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from etils import epath
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    images, labels = load_arrays()
    names = [f"digits/{i}" for i in range(len(labels))]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=[str(i) for i in range(10)]),
        }
    )
    specs: Any = features.get_serialized_info()
    serializer = ExampleSerializer(specs)
    splits = []
    for split, indices in zip(
        ("train", "test"), stratified_split(names, labels), strict=True
    ):
        template = tfds.core.ShardedFileTemplate(
            data_dir=epath.Path(folder),
            dataset_name="digits",
            split=split,
            filetype_suffix="array_record",
        )
        path = template.sharded_filepath(shard_index=0, num_shards=1)
        # One record a group, as TFDS has it: a random read decompresses no neighbour.
        writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
        num_bytes = 0
        for i in indices:
            record = serializer.serialize_example(
                features.encode_example(
                    {"image": _encode_png(images[i]), "label": int(labels[i])}
                )
            )
            num_bytes += len(record)
            writer.write(record)
        writer.close()
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(indices)],
                num_bytes=num_bytes,
                filename_template=template,
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=splits,
        version=VERSION,
        description="The test set of the UCI handwritten digits, 8x8 pixels.",
        homepage="https://archive.ics.uci.edu/dataset/80",
        supervised_keys=("image", "label"),
        check_data=False,  # the check would import TensorFlow
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
