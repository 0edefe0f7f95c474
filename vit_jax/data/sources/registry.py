"""Where images come from: random access to encoded images and their labels."""

import os
from typing import Any, Protocol

from vit_jax.config import DataConfig
from vit_jax.data.sources.digits import open_digits
from vit_jax.data.sources.folders import open_folder
from vit_jax.data.sources.parquet import open_parquet
from vit_jax.data.sources.tables import SUFFIXES, open_table
from vit_jax.data.sources.tars import open_tars
from vit_jax.data.sources.tfds import open_tfds
from vit_jax.errors import ConfigError
from vit_jax.storage import files


class Source(Protocol):
    """One split of a data set, in a fixed order, read by any number of threads.

    Example ``i`` is a dictionary: ``image`` is encoded (bytes) or uint8 [h, w, c],
    ``label`` an int in [0, num_classes), ``name`` what an error calls it. If the source
    is ``multi_label``, labels are uint8 [num_classes] of zeros and ones.
    """

    multi_label: bool
    class_names: tuple[str, ...] | None
    num_classes: int
    num_examples: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def make_source(data: DataConfig, split: str) -> Source:
    """Returns the images of ``split`` (a TFDS split string) of ``data.source``.

    Args:
      data: ``source`` is ``digits``, ``folder:DIR``, ``table:FILE`` (.csv, .tsv,
        .jsonl), ``tar:DIR``, ``parquet:DIR`` or ``tfds:NAME[/CONFIG][:VERSION]``; without a
        prefix, a table or a folder that exists, or a TFDS name. Folders and files may be
        URLs: ``gs://``, ``https://`` and what else fsspec reads (extra ``remote``).
      split: such as ``train``, ``train[:98%]`` or ``train+test``.

    Raises:
      ConfigError: no such source, split or folder, or one that cannot be read; says what
        to type instead.

    Example:
      >>> source = make_source(data, data.train_split)
      >>> source[0]["label"], source.class_names
    """
    try:
        return _open(data, split)
    except OSError as error:
        raise ConfigError(
            f"data.source must be readable, got {error.filename or data.source} "
            f"({error.strerror or error}); check the place and your rights there"
        ) from error


def _open(data: DataConfig, split: str) -> Source:
    kind, _, rest = data.source.partition(":")
    suffix = files.get_suffix(data.source)
    if data.source == "digits":
        return open_digits(split)
    if kind == "folder":
        return open_folder(rest, split)
    if kind == "tfds":
        return open_tfds(rest, split, data.data_dir, data.label)
    if kind == "table" or suffix in SUFFIXES:
        return open_table(data.source.removeprefix("table:"), split)
    if kind == "tar" or suffix == ".tar":
        return open_tars(data.source.removeprefix("tar:"), split)
    if kind == "parquet" or suffix == ".parquet":
        return open_parquet(data.source.removeprefix("parquet:"), split)
    path = os.path.expanduser(data.source)
    if data.source and os.path.exists(os.path.join(path, "dataset_info.json")):
        return open_tfds(path, split, label=data.label)
    if data.source and (files.is_url(path) or os.path.isdir(path)):
        return open_folder(path, split)
    if not data.source or data.source.startswith(("/", ".", "~")):
        raise ConfigError(
            f'data.source must be digits, a folder or a TFDS name, got "{data.source}", '
            "which does not exist"
        )
    return open_tfds(data.source, split, data.data_dir, data.label)
