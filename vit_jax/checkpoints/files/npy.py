"""The header of a .npy file, read without evaluating or unpickling anything."""

import ast
import warnings
from typing import IO, Any

import numpy as np

from vit_jax.checkpoints.files.storage import read_exactly
from vit_jax.checkpoints.lazy import DTYPES, Shape
from vit_jax.checkpoints.trees import make_printable

_MAX_HEADER = 10_000


def read_header(member: IO[bytes]) -> tuple[bytes, int]:
    """Returns the text of a .npy file's header, and where the data starts.

    Raises:
        ValueError, EOFError: the file has none.
    """
    magic = read_exactly(member, 8)
    if magic[:6] != b"\x93NUMPY" or magic[6] not in (1, 2, 3):
        raise ValueError("a member is not a .npy file")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(read_exactly(member, width), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"a header of {length} bytes is not a plain array's")
    return read_exactly(member, length), 8 + width + length


def parse_header(header: bytes, name: str) -> tuple[Shape, np.dtype, bool]:
    """Returns shape, dtype (``V2``: bfloat16) and whether the order is Fortran's.

    Raises:
        ValueError, SyntaxError: it is not a plain array of floating-point numbers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python, about the text of a damaged header
        fields = ast.literal_eval(header.decode("latin1").strip())
    if not isinstance(fields, dict) or fields.keys() != {
        "descr", "fortran_order", "shape"
    }:  # fmt: skip
        raise ValueError(f"{name} has a header without descr, fortran_order and shape")
    descr, fortran, shape = (fields[key] for key in ("descr", "fortran_order", "shape"))
    if not isinstance(shape, tuple) or not all(
        type(side) is int and side >= 0 for side in shape
    ):
        raise ValueError(f"{name} has the shape {make_printable(str(shape))}")
    dtype = _dtype(descr)
    if dtype is None or not isinstance(fortran, bool):
        raise ValueError(
            f"{name} is of dtype {make_printable(str(descr))}, not floating point; "
            "pickled objects are never read"
        )
    return shape, dtype, fortran


def _dtype(descr: Any) -> np.dtype | None:
    if descr in ("|V2", "<V2"):
        return np.dtype("V2")
    if not isinstance(descr, str) or descr[1:] not in ("f2", "f4", "f8"):
        return None
    dtype = np.dtype(descr) if descr[0] in "<>=" else None
    return dtype if dtype is None or dtype.newbyteorder("=") in DTYPES else None
