"""Images listed in a table: CSV, TSV or JSON lines, each with a path and a label."""

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vit_jax.config import DataConfig
from vit_jax.config.choices import SOURCES
from vit_jax.data.sources.folders import FolderSource
from vit_jax.data.sources.splits import resolve_split, sort_by_hash, split_stratified
from vit_jax.errors import ConfigError
from vit_jax.storage import files

# The first of these that a table has is used. Kaggle, Hugging Face and pandas habits.
_PATH_COLUMNS = ("image", "path", "file_name", "filename", "file", "image_path")
_LABEL_COLUMNS = ("label", "class", "class_name", "target", "category")
_SPLIT_COLUMN = "split"
_MULTI_COLUMN = "labels"
_SEPARATOR = "|"
_NUMBER = "0|[1-9][0-9]{0,4}"  # of a class

Row = dict[str, Any]


def open_table(path: str, split: str, data: DataConfig | None = None) -> FolderSource:
    """Returns a split of the images that a table lists.

    The table has a header with a column for the path (``image``, ``path`` or
    ``file_name``, relative to the table, or a URL) and one for the class (``label`` or ``class``:
    a name, or a number from 0), and may have one called ``split``; otherwise ``train``
    and ``test`` are drawn from each class, 80% and 20%, the same on every machine.
    JSON lines have the same keys. Classes are sorted by name, or by number.

    A column ``labels`` gives each image several classes or none: ``cat|dog`` in a CSV
    file, a list in JSON lines. The source is then ``multi_label``.

    Missing images are reported when they are read.

    Raises:
      ConfigError: no such table, no such column, an empty cell, or no such split.
    """
    file = os.path.expanduser(path)
    if not files.is_url(file) and not os.path.isfile(file):
        suffixes = ", ".join(SOURCES["table"].suffixes)
        raise ConfigError(f'table must be a {suffixes} file that exists, got "{path}"')
    rows = list(_read_rows(file))
    if not rows:
        raise ConfigError(f"table must list at least one image, got none in {file}")
    paths = _get_column(file, rows, _PATH_COLUMNS)
    multi_label = _MULTI_COLUMN in rows[0]
    if multi_label:
        sets = [_parse_labels(row.get(_MULTI_COLUMN)) for row in rows]
        classes = sort_classes([label for each in sets for label in each])
    else:
        sets = [[label] for label in _get_column(file, rows, _LABEL_COLUMNS)]
        classes = sort_classes([label for (label,) in sets])
    if not classes:
        raise ConfigError(
            f"table {file} must name a class in {_MULTI_COLUMN}, got none"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [tuple(sorted(numbers[label] for label in each)) for each in sets]
    # Where an image has several classes, the first of them stands for it in the split.
    first = [each[0] if each else -1 for each in labels]
    splits = _find_splits(file, rows, list(zip(paths, first, strict=True)))
    labels: Sequence[Any] = labels if multi_label else first
    members = list(zip(paths, labels, strict=True))
    selected = []
    sizes = {name: len(indices) for name, indices in splits.items()}
    for name, start, stop in resolve_split(split, sizes):
        part = [members[i] for i in splits[name]]
        order = sort_by_hash([path for path, _ in part])
        selected += [part[i] for i in order[start:stop]]
    return FolderSource(files.get_parent(file), selected, classes, multi_label)


def _parse_labels(cell: Any) -> list[str]:
    """Returns the classes in a cell of the column ``labels``."""
    if isinstance(cell, list):
        return [str(label) for label in dict.fromkeys(cell)]
    text = "" if cell is None else str(cell)
    return [label for label in dict.fromkeys(text.split(_SEPARATOR)) if label]


def _read_rows(file: str) -> Iterator[Row]:
    try:
        text = files.read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"table must be UTF-8, got {file} (byte {error.start} is not); save it as UTF-8"
        ) from error
    lines = io.StringIO(text, newline="")
    suffix = files.get_suffix(file)
    if suffix != ".jsonl":
        dialect = "excel-tab" if suffix == ".tsv" else "excel"
        try:
            yield from csv.DictReader(lines, dialect=dialect)
        except csv.Error as error:
            raise ConfigError(
                f"table {file} must be read as rows of cells, got {error}; look for a "
                "quotation mark that is not closed"
            ) from error
        return
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line) if line.strip() else None
        except ValueError:
            row = ()
        if row is not None:
            if not isinstance(row, dict):
                raise ConfigError(
                    f"each line of {file} must be a JSON object, got line {number}: "
                    f"{line.strip()[:40]}"
                )
            yield row


def _get_column(file: str, rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Returns the column with the first of the names that is there, as strings."""
    name = next((name for name in names if name in rows[0]), None)
    if name is None:
        raise ConfigError(
            f"table {file} must have a column {' or '.join(names[:2])}, got "
            f"{', '.join(map(str, rows[0]))}; rename one of them"
        )
    for number, row in enumerate(rows, start=1):
        if row.get(name) in (None, ""):
            raise ConfigError(
                f"each row of {file} must have a {name}, got none in row {number}; "
                "fill it or remove the row"
            )
    return [str(row[name]) for row in rows]


def sort_classes(labels: Sequence[str]) -> list[str]:
    """Returns the classes in the order of their labels."""
    names = sorted(set(labels))
    # Numbers as one counts, not 007, nor what must be an identifier for its size.
    if not all(re.fullmatch(_NUMBER, name) for name in names):
        return names
    # They are the labels themselves, though one may not occur.
    return [str(number) for number in range(max(map(int, names), default=-1) + 1)]


def _find_splits(
    file: str, rows: Sequence[Row], members: Sequence[tuple[str, int]]
) -> dict[str, list[int]]:
    """Returns the rows of each split."""
    if _SPLIT_COLUMN in rows[0]:
        splits: dict[str, list[int]] = {}
        for i, name in enumerate(_get_column(file, rows, (_SPLIT_COLUMN,))):
            splits.setdefault(name, []).append(i)
        return splits
    train, test = split_stratified(*zip(*members, strict=True))
    return {"train": train.tolist(), "test": test.tolist()}
