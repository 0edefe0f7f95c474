"""From ``data.source`` to images: which kind it is, and the opener of that kind.

The kinds are the rows of ``config.choices.SOURCES``, a caller's own included.
"""

import os

from vit_jax.config import DataConfig
from vit_jax.config.choices import SOURCES
from vit_jax.data.sources.source import Source
from vit_jax.errors import ConfigError
from vit_jax.storage import files


def make_source(data: DataConfig, split: str) -> Source:
    """Returns the images of ``split`` (a TFDS split string) of ``data.source``.

    Args:
      data: ``source`` is ``KIND:LOCATION`` with a kind of ``config.choices.SOURCES``:
        ``digits``, ``folder:DIR``, ``table:FILE`` (.csv, .tsv, .jsonl), ``tar:DIR``,
        ``parquet:DIR``, ``tfds:NAME[/CONFIG][:VERSION]`` or one that was registered.
        Without a kind: a file with a suffix of the table, a folder that exists, or a
        TFDS name. Folders and files may be URLs: ``gs://``, ``https://`` and what else
        fsspec reads (extra ``remote``).
      split: such as ``train``, ``train[:98%]`` or ``train+test``.

    Raises:
      ConfigError: no such source, split or folder, or one that cannot be read; says what
        to type instead.

    Example:
      >>> source = make_source(data, data.train_split)
      >>> source[0]["label"], source.class_names
    """
    kind, location = recognize_source(data.source)
    try:
        return SOURCES.resolve(kind)(location, split, data)
    except OSError as error:
        raise ConfigError(
            f"data.source must be readable, got {error.filename or data.source} "
            f"({error.strerror or error}); check the path and the permissions there"
        ) from error


def recognize_source(source: str) -> tuple[str, str]:
    """Returns the kind of a source and its location.

    In this order: a kind by name; a file by its suffix; a prepared TFDS folder; a
    folder or URL; a TFDS name.

    Raises:
      ConfigError: an empty text, or a path that does not exist.
    """
    kind, colon, location = source.partition(":")
    if kind in SOURCES:
        form = SOURCES[kind].form
        is_whole = not colon and not form.startswith(f"{kind}:")
        if is_whole or (colon and form != kind):
            return kind, location
    suffix = files.get_suffix(source)
    for kind, row in SOURCES.items():
        if suffix in row.suffixes:
            return kind, source
    path = os.path.expanduser(source)
    if source and os.path.exists(os.path.join(path, "dataset_info.json")):
        return "tfds", path
    if source and (files.is_url(path) or os.path.isdir(path)):
        return "folder", path
    if not source or source.startswith(("/", ".", "~")):
        raise ConfigError(
            f"data.source must be {', '.join(SOURCES.list_forms())}, a path that "
            f'exists or the name of a TFDS dataset, got "{source}"'
        )
    return "tfds", source
