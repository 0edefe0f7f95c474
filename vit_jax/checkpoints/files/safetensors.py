"""safetensors: a length, that much JSON, and the arrays one after the other.

https://github.com/huggingface/safetensors. Read here, without the package: NumPy knows
no bfloat16, and what a hostile header may say is checked in one place.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.checkpoints.files.storage import (
    fill_view,
    make_damage_error,
    read_exactly,
    write_atomically,
)
from vit_jax.checkpoints.lazy import BFLOAT16, Lazy, Rows, Shape, count_elements
from vit_jax.checkpoints.trees import make_printable

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
# What published towers store beside the parameters: positions, counters, masks.
_IGNORED_DTYPES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_MAX_HEADER = 32 << 20
_MAX_RANK = 32
_ERRORS = (OSError, EOFError, ValueError, RecursionError, MemoryError, KeyError)


def read_safetensors(path: Path) -> tuple[dict[str, Lazy], dict[str, str]]:
    """Returns name -> array, and the file's own metadata; arrays are read when used.

    Integer arrays are not parameters, and are skipped.

    Raises:
        ConfigError: the header is not one, or does not fit the file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(read_exactly(file, 8), "little")
            if length > min(size - 8, _MAX_HEADER):
                raise ValueError(f"its header cannot have {length} bytes")
            header = json.loads(read_exactly(file, length), object_pairs_hook=_no_twins)
        if not _is_table(header, object):
            raise ValueError("its header is not a table")
        metadata = header.pop("__metadata__", {})
        if not _is_table(metadata, str):
            raise ValueError("its metadata is not a table of strings")
        entries = {name: _parse_entry(name, entry) for name, entry in header.items()}
        _check_offsets([entry[2:] for entry in entries.values()], size - 8 - length)
    except _ERRORS as error:
        raise make_damage_error(path, error) from error
    tensors = {
        name: _make_lazy(path, name, dtype, shape, 8 + length + begin)
        for name, (dtype, shape, begin, _) in entries.items()
        if dtype is not None
    }
    return tensors, metadata


def write_safetensors(
    path: Path, tensors: Mapping[str, Lazy], metadata: Mapping[str, str]
) -> None:
    """Writes the arrays one at a time, complete or not at all; sorted by name."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    # The widest first, so that each array starts at a multiple of its item's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in names:
        tensor = tensors[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with write_atomically(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            array = np.require(tensors[name], requirements="C")
            assert array.nbytes == tensors[name].nbytes
            file.write(array.reshape(-1).view(np.uint8).data if array.size else b"")


def _is_table(value: Any, kind: type) -> bool:
    return isinstance(value, dict) and all(isinstance(v, kind) for v in value.values())


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("its header has a name twice")
    return table


def _parse_entry(name: str, entry: Any) -> tuple[np.dtype | None, Shape, int, int]:
    name = make_printable(name)
    if not isinstance(entry, dict) or entry.keys() != {
        "dtype", "shape", "data_offsets"
    }:  # fmt: skip
        raise ValueError(f"{name} must have dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in {**_DTYPES, **_IGNORED_DTYPES}:
        raise ValueError(f"{name} is of dtype {make_printable(str(kind))}, not a float")
    if not _is_count(shape) or not _is_count(offsets) or len(offsets) != 2:
        raise ValueError(f"{name} has no valid shape and offsets")
    if len(shape) > _MAX_RANK:
        raise ValueError(f"{name} has {len(shape)} axes")
    dtype = _DTYPES.get(kind)
    itemsize = dtype.itemsize if dtype else _IGNORED_DTYPES[kind]
    begin, end = offsets
    if end - begin != count_elements(tuple(shape)) * itemsize:
        raise ValueError(f"{name} of shape {shape} cannot have {end - begin} bytes")
    return dtype, tuple(shape), begin, end


def _is_count(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_offsets(spans: list[tuple[int, int]], size: int) -> None:
    """Checks that the arrays follow each other and fill the file."""
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise ValueError("its arrays overlap or have gaps between them")
        end = stop
    if end != size:
        raise ValueError(f"its arrays must fill {size} bytes, got {end}")


def _make_lazy(
    path: Path, name: str, dtype: np.dtype, shape: Shape, offset: int
) -> Lazy:
    def read(rows: Rows | None) -> np.ndarray:
        within, begin = shape, offset
        if rows is not None:
            row = count_elements(shape[1:]) * dtype.itemsize
            within, begin = (rows[1] - rows[0], *shape[1:]), offset + rows[0] * row
        array = np.empty(within, dtype)
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(begin)
                if array.size:
                    fill_view(file, array.reshape(-1).view(np.uint8).data)
        except (OSError, EOFError) as error:
            raise make_damage_error(path, error, name) from error
        return array

    return Lazy(shape, dtype, read)


def is_safetensors(path: Path) -> bool:
    """Returns whether a file starts as this format does."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{"
