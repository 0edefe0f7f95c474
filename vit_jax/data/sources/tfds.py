"""TFDS datasets by random access: ArrayRecord files, read without TensorFlow."""

import importlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.config.choices import SOURCES
from vit_jax.data.images.decode import decode
from vit_jax.data.sources.splits import resolve_split
from vit_jax.data.sources.vtab import DERIVED
from vit_jax.errors import ConfigError, check_choice, did_you_mean


class TfdsSource:
    """One split of a prepared TFDS dataset; the image stays encoded.

    Attributes:
      num_examples: the length.
      class_names: the names that the dataset carries.
      num_classes: the number of its classes.
    """

    multi_label = False

    def __init__(self, builder: Any, split: str, label_key: str | None = None) -> None:
        import tensorflow_datasets as tfds

        info = builder.info
        sizes = {key: info.splits[key].num_examples for key in info.splits}
        resolve_split(split, sizes)  # reports what is wrong in one line
        self._derived = DERIVED.get(label_key or "")
        if self._derived:
            names = self._derived.class_names
            self._image_key, self._label_key = "image", self._derived.feature
        else:
            self._image_key, self._label_key = _find_keys(info, label_key)
            # TFDS makes up "0", "1", ... for a dataset without names; so would we.
            names = info.features[self._label_key].names
        self.class_names: tuple[str, ...] | None = tuple(names)
        self.num_classes = len(self.class_names)
        self._name = f"{info.full_name}/{split}"
        # Other features (masks, boxes) are not even parsed.
        self._features: Any = tfds.features.FeaturesDict(
            {key: info.features[key] for key in (self._image_key, self._label_key)}
        )
        self._decoders = {self._image_key: tfds.decode.SkipDecoding()}
        self._records = builder.as_data_source(
            split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
        self.num_examples = len(self._records)

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self._features.deserialize_example_np(
            self._records[index], decoders=self._decoders
        )
        image, label = record[self._image_key], record[self._label_key]
        name = f"{self._name}#{index}"
        if self._derived is None:
            return {"image": image, "label": int(label), "name": name}
        if self._derived.white == 1:
            image = decode(image, name=name) * np.uint8(255)
        return {"image": image, "label": self._derived.derive(label), "name": name}


def open_tfds(name: str, split: str, data: DataConfig | None = None) -> TfdsSource:
    """Returns a split of the dataset ``NAME[/CONFIG][:VERSION]``, or of its folder.

    Args:
      name: as TFDS writes it, or the path of a prepared dataset (with its version).
      split: a TFDS split string.
      data: of which ``data_dir`` is the folder of the prepared datasets (None:
        $TFDS_DATA_DIR, else ``~/tensorflow_datasets``), and ``label`` the feature that
        is the label, or one of ``vtab.DERIVED`` (None: the one that the dataset is
        known for).

    Raises:
      ConfigError: there is no such dataset or label, it is not prepared, or not as ArrayRecord;
        with the command that helps.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder, registered

    data_dir, label = (data.data_dir, data.label) if data else (None, None)
    if (pathlib.Path(name) / "dataset_info.json").exists():
        builder = tfds.builder_from_directory(name)
        return TfdsSource(_check_format(builder, name, data_dir), split, label)
    if data_dir and "://" not in data_dir and not os.path.isdir(data_dir):
        raise ConfigError(
            f'data.data_dir must be a folder with TFDS datasets, got "{data_dir}", '
            f"which does not exist; to prepare one there: {_make_command(name, data_dir)}"
        )
    try:
        builder = read_only_builder.builder_from_files(name, data_dir=data_dir)
    except registered.DatasetNotFoundError as error:
        raise _make_not_found_error(name, data_dir) from error
    except ValueError as error:
        raise ConfigError(
            f"TFDS name must be NAME, NAME/CONFIG, NAME:1.2.3 or NAME/CONFIG:1.2.3 of "
            f'one prepared dataset, got "{name}" ({str(error).splitlines()[0]})'
        ) from error
    return TfdsSource(_check_format(builder, name, data_dir), split, label)


def _check_format(builder: Any, name: str, data_dir: str | None) -> Any:
    """Returns the builder, set to ArrayRecord if the dataset has it beside others."""
    import tensorflow_datasets as tfds

    found = builder.info.file_format.value
    if found == "array_record":
        return builder
    others = [each.value for each in builder.info.alternative_file_formats]
    if "array_record" in others:
        return tfds.builder_from_directory(builder.data_dir, file_format="array_record")
    # TFDS refuses to prepare a second format in the same folder.
    where = os.path.join(_find_data_dir(data_dir), "array_record")
    raise ConfigError(
        f'dataset "{name}" must be prepared as ArrayRecord, got {found} files in '
        f"{builder.data_dir}; run: {_make_command(name, where)}, then pass "
        f"--config.data.data_dir={where}"
    )


def _make_not_found_error(name: str, data_dir: str | None) -> ConfigError:
    """Returns the error for a dataset without files: not prepared, or unknown."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    base = name.split(":")[0].split("/")[0]
    where = pathlib.Path(_find_data_dir(data_dir))
    prepared = sorted(where.glob(f"{base}/**/dataset_info.json"))
    if prepared:
        paths = [path.parent.relative_to(where).as_posix() for path in prepared]
        found = [":".join(path.rsplit("/", 1)) for path in paths]
        return ConfigError(
            f'dataset must be one of those in {where}, got "{name}"; '
            f"there are: {', '.join(found)}"
        )
    if base in known:
        return ConfigError(
            f'dataset "{name}" must be prepared once, got no files in {where}; '
            f"run: {_make_command(name, data_dir)}"
        )
    hint = did_you_mean(base, known) if base else ""
    if "did you mean" not in hint:
        hint = "; for a folder of images write folder:DIR"
    return ConfigError(
        f"data.source must be {', '.join(SOURCES.list_forms())} or the name of a "
        f'TFDS dataset, got "{name}"{hint}'
    )


def _find_data_dir(data_dir: str | None) -> str:
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return os.path.expanduser(data_dir or default)


def _make_command(name: str, data_dir: str | None) -> str:
    """Returns what prepares a dataset."""
    where = f" --data_dir={data_dir}" if data_dir else ""
    return f"pip install 'vit_jax[tfds]' && vit-jax data prepare {name}{where}"


def prepare_tfds(name: str, data_dir: str | None = None) -> str:
    """Downloads a TFDS dataset, if need be, and writes it as ArrayRecord files.

    (``tfds build`` needs Apache Beam for every dataset, as of TFDS 4.9.10.)

    Args:
      name: as TFDS writes it.
      data_dir: the folder to write; None: TFDS's default.

    Returns:
      The folder.

    Raises:
      ConfigError: there is no such dataset; TensorFlow is missing; files must be
        downloaded by hand first, and TFDS says which.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise ConfigError(
            f"preparing {name} needs TensorFlow, which reading it does not; "
            "run: pip install 'vit_jax[tfds]'"
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
    except registered.DatasetNotFoundError as error:
        raise _make_not_found_error(name, data_dir) from error
    except AssertionError as error:  # TFDS's "Manual directory ... does not exist"
        raise ConfigError(
            f"files of {name} must be downloaded by hand: {' '.join(str(error).split())}"
        ) from error
    return os.fspath(builder.data_dir)


def _find_keys(info: Any, label_key: str | None) -> tuple[str, str]:
    """Returns the names of the image and of the label feature."""
    import tensorflow_datasets as tfds

    features: Mapping[str, Any] = info.features
    images = [k for k in features if isinstance(features[k], tfds.features.Image)]
    labels = [k for k in features if isinstance(features[k], tfds.features.ClassLabel)]
    keys = info.supervised_keys
    if label_key is not None:
        check_choice("config.data.label", label_key, [*labels, *DERIVED])
        return "image" if "image" in images else images[0], label_key
    if keys and keys[0] in images and keys[1] in labels:
        return keys[0], keys[1]
    if images and labels:
        image = "image" if "image" in images else images[0]
        return image, "label" if "label" in labels else labels[0]
    raise ConfigError(
        f'dataset "{info.full_name}" must have an image and a class label, got the features '
        f"{', '.join(features)}; choose a classification dataset"
    )
