"""Parquet files as Hugging Face stores image datasets: ``image.bytes`` and ``label``."""

import bisect
import contextlib
import functools
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.sources import folders
from vit_jax.data.sources.splits import resolve_split, sort_by_hash, split_stratified
from vit_jax.data.sources.tables import sort_classes
from vit_jax.errors import ConfigError
from vit_jax.storage import files
from vit_jax.storage.remote import report_read_errors

_LABELS = ("label", "labels", "fine_label", "class", "target")
_ROW_GROUPS = 8  # kept in memory by each process; a shuffle reads around in all


class ParquetSource:
    """Rows of Parquet files; ``rows`` are (file, row) in the order of the split.

    A row group is read whole: keep them small (100 rows, as ``datasets`` writes them)
    or convert to ArrayRecord, which reads one image.
    """

    multi_label = False

    def __init__(
        self,
        paths: Sequence[str],
        rows: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        self._paths = list(paths)
        self._rows = rows
        self._labels = labels
        self.class_names: tuple[str, ...] | None = tuple(class_names)
        self.num_classes = len(class_names)
        self.num_examples = len(rows)

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        file, row = map(int, self._rows[index])
        path = self._paths[file]
        starts = _find_starts(path)
        group = bisect.bisect_right(starts, row) - 1
        image = _read_group(path, group)[row - starts[group]].as_py()
        data = image["bytes"] if isinstance(image, dict) else image
        if data is None and isinstance(image, dict):
            data = files.read_bytes(
                files.join_path(files.get_parent(path), image["path"])
            )
        return {
            "image": data,
            "label": int(self._labels[index]),
            "name": f"{path}#{row}",
        }


def open_parquet(
    path: str, split: str, data: DataConfig | None = None
) -> ParquetSource:
    """Returns a split of the images in Parquet files.

    Args:
      path: a folder with ``*.parquet`` (at any depth), one file, a glob pattern, or a
        series: ``train-{00000..00003}-of-00004.parquet``. A file's name says its split (``train-00000-of-00004.parquet``); if none does,
        ``train`` and ``test`` are drawn from each class.
      split: a split string.

    Raises:
      ConfigError: pyarrow is missing, no files, no image and label columns, or an image
        without label.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "Parquet files need pyarrow; run: pip install 'vit_jax[parquet]'"
        ) from error
    paths = files.match_files(os.path.expanduser(path), ".parquet")
    if not paths:
        raise ConfigError(f'Parquet files must exist, got none for "{path}"')
    schema = _read_schema(paths[0])
    column = next((name for name in _LABELS if name in schema.names), None)
    if column is None or "image" not in schema.names:
        raise ConfigError(
            f"{paths[0]} must have the columns image and {_LABELS[0]}, got "
            f"{', '.join(schema.names)}"
        )
    cells = [_read_column(path, column) for path in paths]
    rows = np.array(
        [(f, r) for f, each in enumerate(cells) for r in range(len(each))], np.int64
    )
    if not len(rows):
        raise ConfigError(f'Parquet files must hold images, got none in "{path}"')
    names = _read_class_names(schema, column)
    classes, labels = _number_labels(list(itertools.chain(*cells)), names)
    splits = _find_splits([os.path.basename(path) for path in paths], rows, labels)
    sizes = {name: len(members) for name, members in splits.items()}
    chosen = []
    for name, start, stop in resolve_split(split, sizes):
        members = splits[name]
        order = sort_by_hash(
            [f"{os.path.basename(paths[rows[i, 0]])}#{rows[i, 1]}" for i in members]
        )
        chosen.append(members[order[start:stop]])
    index = np.concatenate(chosen)
    missing = index[labels[index] < 0]
    if len(missing):
        file, row = rows[missing[0]]
        raise ConfigError(
            f"each image must have one label of the {len(classes)} classes, got "
            f"{cells[file][row]} in row {row} of {paths[file]}; choose another split"
        )
    return ParquetSource(paths, rows[index], labels[index], classes)


def _number_labels(
    cells: Sequence[Any], names: list[str] | None
) -> tuple[list[str], np.ndarray]:
    """Returns the classes, and the label of each cell: -1 where it has none.

    (-1 is also how test sets whose labels are kept secret are published.)
    """
    labels = np.full(len(cells), -1, np.int64)
    given = [
        (i, cell if names else str(cell))
        for i, cell in enumerate(cells)
        if cell not in (None, -1) and not isinstance(cell, list)
    ]
    classes = names or sort_classes([str(cell) for _, cell in given])
    numbers: dict[Any, int] = {name: number for number, name in enumerate(classes)}
    if names:  # rows hold either
        numbers |= {number: number for number in range(len(names))}
    for i, cell in given:
        labels[i] = numbers.get(cell, -1)
    return classes, labels


def _read_class_names(schema: Any, column: str) -> list[str] | None:
    """Returns the names that ``datasets`` leaves in the file, if it did."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata)["info"]["features"].get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None


def _find_splits(
    names: Sequence[str], rows: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    words = [re.split(r"[-_.\d]+", name.lower()) for name in names]
    named = [next((s for s in folders.SPLITS if s in each), None) for each in words]
    if None in named:
        keys = [f"{names[f]}#{r}" for f, r in rows]
        train, test = split_stratified(keys, labels)
        return {"train": train, "test": test}
    found = np.array([str(name) for name in named])[rows[:, 0]]
    return {name: np.flatnonzero(found == name) for name in sorted(set(found))}


@contextlib.contextmanager
def _open(path: str) -> Iterator[Any]:
    """Gives a file to pyarrow, which holds its footer only while it is open."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with report_read_errors(path):
        try:
            with files.open_file(path, ahead=False) as file:
                yield pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"Parquet file must be whole, got {path} ({error}); write it again"
            ) from error


def _read_schema(path: str) -> Any:
    with _open(path) as file:
        return file.schema_arrow


def _read_column(path: str, name: str) -> list[Any]:
    with _open(path) as file:
        return file.read(columns=[name])[name].to_pylist()


@functools.lru_cache(maxsize=1024)
def _find_starts(path: str) -> list[int]:
    """Returns the first row of each row group of a file."""
    with _open(path) as file:
        metadata = file.metadata
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return [0, *itertools.accumulate(counts)][:-1]


@functools.lru_cache(maxsize=_ROW_GROUPS)
def _read_group(path: str, group: int) -> Any:
    with _open(path) as file:
        return file.read_row_group(group, columns=["image"])["image"].combine_chunks()
