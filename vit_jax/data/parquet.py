"""Parquet files as Hugging Face stores image datasets: ``image.bytes`` and ``label``."""

import bisect
import functools
import itertools
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vit_jax.config import ConfigError
from vit_jax.data import folders
from vit_jax.data.splits import hash_order, resolve_split, stratified_split
from vit_jax.data.tables import class_order

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
        files: Sequence[pathlib.Path],
        rows: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        self._files = [str(file) for file in files]
        self._rows = rows
        self._labels = labels
        self.class_names: tuple[str, ...] | None = tuple(class_names)
        self.num_classes = len(class_names)
        self.num_examples = len(rows)

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        file, row = map(int, self._rows[index])
        path = self._files[file]
        starts = _starts(path)
        group = bisect.bisect_right(starts, row) - 1
        image = _group(path, group)[row - starts[group]].as_py()
        data = image["bytes"] if isinstance(image, dict) else image
        if data is None and isinstance(image, dict):
            data = (pathlib.Path(path).parent / image["path"]).read_bytes()
        return {
            "image": data,
            "label": int(self._labels[index]),
            "name": f"{path}#{row}",
        }


def open_parquet(path: str, split: str) -> ParquetSource:
    """Returns a split of the images in Parquet files.

    Args:
      path: a folder with ``*.parquet`` (at any depth), one file, or a glob pattern. A
        file's name says its split (``train-00000-of-00004.parquet``); if none does,
        ``train`` and ``test`` are drawn from each class.
      split: a split string.

    Raises:
      ConfigError: pyarrow is missing, no files, or no image and label columns.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            "Parquet files need pyarrow; run: pip install 'vit_jax[parquet]'"
        ) from error
    place = pathlib.Path(path).expanduser()
    found = (
        place.rglob("*.parquet") if place.is_dir() else place.parent.glob(place.name)
    )
    files = sorted(found)
    if not files:
        raise ConfigError(f'Parquet files must exist, got none for "{path}"')
    schema = pq.read_schema(files[0])
    column = next((name for name in _LABELS if name in schema.names), None)
    if column is None or "image" not in schema.names:
        raise ConfigError(
            f"{files[0]} must have the columns image and {_LABELS[0]}, got "
            f"{', '.join(schema.names)}"
        )
    cells = [
        pq.read_table(file, columns=[column])[column].to_pylist() for file in files
    ]
    values = [str(cell) for each in cells for cell in each]
    names = _class_names(schema, column)
    classes = names or class_order(values)
    numbers = {name: number for number, name in enumerate(classes)}
    integers = names is not None and not isinstance(next(itertools.chain(*cells)), str)
    labels = np.array([int(v) if integers else numbers[v] for v in values], np.int64)
    rows = np.array(
        [(f, r) for f, each in enumerate(cells) for r in range(len(each))], np.int64
    )
    splits = _splits(files, rows, labels)
    sizes = {name: len(members) for name, members in splits.items()}
    chosen = []
    for name, start, stop in resolve_split(split, sizes):
        members = splits[name]
        order = hash_order([f"{files[rows[i, 0]].name}#{rows[i, 1]}" for i in members])
        chosen.append(members[order[start:stop]])
    index = np.concatenate(chosen)
    return ParquetSource(files, rows[index], labels[index], classes)


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Returns the names that ``datasets`` leaves in the file, if it did."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata)["info"]["features"].get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None


def _splits(
    files: Sequence[pathlib.Path], rows: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    words = [re.split(r"[-_.\d]+", file.stem.lower()) for file in files]
    named = [next((s for s in folders.SPLITS if s in each), None) for each in words]
    if None in named:
        names = [f"{files[f].name}#{r}" for f, r in rows]
        train, test = stratified_split(names, labels)
        return {"train": train, "test": test}
    found = np.array([str(name) for name in named])[rows[:, 0]]
    return {name: np.flatnonzero(found == name) for name in sorted(set(found))}


@functools.lru_cache(maxsize=1024)
def _starts(path: str) -> list[int]:
    """Returns the first row of each row group of a file."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return [0, *itertools.accumulate(counts)][:-1]


@functools.lru_cache(maxsize=_ROW_GROUPS)
def _group(path: str, group: int) -> Any:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read_row_group(group, columns=["image"])
    return table["image"].combine_chunks()
