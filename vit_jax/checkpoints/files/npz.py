"""NumPy's .npz: a zip file of .npy files, read strictly and without pickle.

Every declared size is checked against the file before anything is allocated, and every
array against its checksum when it is read.
"""

import dataclasses
import functools
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from vit_jax.checkpoints.files.npy import parse_header, read_header
from vit_jax.checkpoints.files.storage import (
    fill_view,
    make_damage_error,
    read_exactly,
    write_atomically,
)
from vit_jax.checkpoints.lazy import BFLOAT16, Lazy, Rows, Shape, count_elements
from vit_jax.checkpoints.trees import make_printable
from vit_jax.errors import ConfigError

_CHUNK = 1 << 20
_MAX_DIRECTORY = 16 << 20  # bytes: some 100,000 arrays
# A checkpoint hardly compresses (a fresh one's zeros apart); a zip bomb does.
_MAX_RATIO, _ALWAYS_ALLOWED = 16, 64 << 20
_ERRORS = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError,
    NotImplementedError, TypeError, KeyError, struct.error, RuntimeError, SyntaxError, MemoryError, OverflowError,
)  # fmt: skip


def read_npz(path: Path) -> dict[str, Lazy]:
    """Returns name -> array; the arrays are read when they are used.

    bfloat16 arrays, which NumPy writes as ``|V2``, come back as bfloat16.

    Raises:
        ConfigError: the file is damaged, or holds something else than plain arrays of
            floating point numbers. Also when an array is read whose checksum is wrong.
    """
    try:
        check_directory(path)
        with zipfile.ZipFile(path) as archive:
            return read_npz_archive(path, archive)
    except ConfigError:
        raise
    except _ERRORS as error:
        raise make_damage_error(path, error) from error


def read_npz_archive(path: Path, archive: zipfile.ZipFile) -> dict[str, Lazy]:
    """Returns what `read_npz` does, of an archive whose directory was checked.

    Raises:
        ConfigError: as `read_npz`.
    """
    try:
        infos = archive.infolist()
        _check_sizes(infos, path.stat().st_size)
        with path.open("rb") as file:
            members = [_open_member(path, file, archive, info) for info in infos]
    except ConfigError:
        raise
    except _ERRORS as error:
        raise make_damage_error(path, error) from error
    tensors = {member.name: member.lazy() for member in members}
    if len(tensors) != len(members):
        raise ConfigError(
            f"{path} must have names that differ, got two arrays of one "
            "name; write the file again"
        )
    return tensors


@dataclasses.dataclass(frozen=True, eq=False)
class _Member:
    """Where an array is; ``start`` is its first byte in the (unpacked) .npy file."""

    path: Path
    name: str
    info: zipfile.ZipInfo
    offset: int | None  # of the .npy file; None: compressed
    start: int
    shape: Shape
    dtype: np.dtype
    fortran: bool

    def lazy(self) -> Lazy:
        native = BFLOAT16 if self.dtype.kind == "V" else self.dtype.newbyteorder("=")
        return Lazy(self.shape, native, lambda rows: self._read(rows, native))

    def _read(self, rows: Rows | None, native: np.dtype) -> np.ndarray:
        try:
            if rows is None or self.fortran or self.offset is None:
                array = self._whole() if self.offset is None else self._stored()
            else:
                return self._rows(*rows).astype(native, copy=False)
        except _ERRORS as error:
            raise make_damage_error(self.path, error, self.name) from error
        if self.fortran:
            array = array.reshape(self.shape[::-1]).T
        array = array.view(native) if self.dtype.kind == "V" else array
        array = array.astype(native, copy=False)
        return array if rows is None else array[slice(*rows)]

    def _stored(self) -> np.ndarray:
        """The bytes straight from the file into the array, checked on the way."""
        array = np.empty(self.shape, self.dtype)
        view = array.reshape(-1).view(np.uint8).data if array.size else b""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset or 0)
            checksum = zlib.crc32(read_exactly(file, self.start))
            for begin in range(0, array.nbytes, _CHUNK):
                chunk = view[begin : begin + _CHUNK]
                fill_view(file, chunk)
                checksum = zlib.crc32(chunk, checksum)
        if checksum != self.info.CRC:
            raise ValueError("its checksum is wrong")
        return array

    def _whole(self) -> np.ndarray:
        with zipfile.ZipFile(self.path) as archive, archive.open(self.info) as file:
            read_exactly(file, self.start)
            data = bytearray(self.info.file_size - self.start)
            view = memoryview(data)
            for begin in range(0, len(data), _CHUNK):
                chunk = read_exactly(file, min(_CHUNK, len(data) - begin))
                view[begin : begin + len(chunk)] = chunk
            if file.read(1):  # also makes zipfile compare the checksum
                raise ValueError("it is longer than declared")
        return np.frombuffer(data, self.dtype).reshape(self.shape)

    def _rows(self, first: int, last: int) -> np.ndarray:
        _ = self._verified
        array = np.empty((last - first, *self.shape[1:]), self.dtype)
        row = count_elements(self.shape[1:]) * self.dtype.itemsize
        with self.path.open("rb", buffering=0) as file:
            file.seek((self.offset or 0) + self.start + first * row)
            if array.size:
                fill_view(file, array.reshape(-1).view(np.uint8).data)
        return array.view(BFLOAT16) if self.dtype.kind == "V" else array

    @functools.cached_property
    def _verified(self) -> bool:
        """Compares the checksum of the whole array, for one that is read in parts."""
        checksum, left = 0, self.info.file_size
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset or 0)
            while left:
                chunk = read_exactly(file, min(left, _CHUNK))
                checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
        if checksum != self.info.CRC:
            raise ValueError("its checksum is wrong")
        return True


def write_npz(path: Path, tensors: Mapping[str, Lazy]) -> None:
    """Writes the arrays as `numpy.savez` does, one at a time; complete or not at all.

    The same arrays make the same bytes.
    """
    with write_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, tensor in tensors.items():
            array = np.require(tensor, requirements="C")
            if array.dtype == BFLOAT16:
                array = array.view("V2")
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, (1, 0), allow_pickle=False)


def check_directory(path: Path) -> None:
    """Bounds what zipfile will read at once: the list of the archive's members.

    Raises:
        ConfigError: it is too long, or missing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_536 - 76))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise ConfigError(f"{path} must be a whole zip file, got a truncated "
                          "one; copy or download it again")  # fmt: skip
    declared = int.from_bytes(tail[end + 12 : end + 16], "little")
    locator = tail[max(0, end - 20) : end]
    if locator[:4] == b"PK\x06\x07":
        with path.open("rb") as file:
            file.seek(min(int.from_bytes(locator[8:16], "little"), size))
            declared = max(declared, int.from_bytes(file.read(48)[40:48], "little"))
    if declared > min(size, _MAX_DIRECTORY):
        raise ConfigError(
            f"{path} must have a list of members of at most {_MAX_DIRECTORY} bytes, "
            f"got {declared}; this is not a checkpoint"
        )


def _check_sizes(infos: list[zipfile.ZipInfo], size: int) -> None:
    packed = sum(info.compress_size for info in infos)
    unpacked = sum(info.file_size for info in infos)
    if packed > size:
        raise ValueError("its members overlap")
    if unpacked > max(_MAX_RATIO * size, _ALWAYS_ALLOWED):
        raise ValueError(f"{size} bytes that unpack to {unpacked} are not a checkpoint")


def _open_member(
    path: Path, file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> _Member:
    if not info.filename.endswith(".npy"):
        raise ValueError(f"its member {make_printable(info.filename)} is not an array")
    with archive.open(info) as member:  # compares the name with the local header's
        header, start = read_header(member)
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        file.seek(info.header_offset)
        local = read_exactly(file, 30)
        extra = int.from_bytes(local[26:28], "little")
        extra += int.from_bytes(local[28:30], "little")
        offset = info.header_offset + 30 + extra
    elif info.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(f"its member {make_printable(info.filename)} is compressed in a way "
                         "that NumPy does not write")  # fmt: skip
    name = info.filename.removesuffix(".npy")
    shape, dtype, fortran = parse_header(header, make_printable(name))
    needed = start + count_elements(shape) * dtype.itemsize
    if info.file_size != needed or (offset and info.compress_size != needed):
        raise ValueError(
            f"{make_printable(name)} has {info.file_size} bytes, not {needed}"
        )
    return _Member(path, name, info, offset, start, shape, dtype, fortran)
