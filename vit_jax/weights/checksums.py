"""Checksums as servers state them: sha256, md5, and CRC-32C for parts put together.

Google Cloud Storage gives an MD5 for a plain object, but only a CRC-32C for one that
was uploaded in parts. Own code: Python has no CRC-32C, and
google-crc32c comes with the extra `remote` alone. This one splits the bytes into lanes that
NumPy computes side by side, and joins their results, about as fast as a disk reads.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli, RFC 3720 appendix B.4, bits reversed
_LANES = 1 << 14
_BLOCK = 1 << 24
_STRONGEST_FIRST = ("sha256", "md5", "crc32c")


def parse_checksums(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns algorithm -> checksum in hexadecimal, as the headers of answers state it.

    ``x-goog-hash`` (Google Cloud Storage, base64), ``X-Linked-ETag`` and ``ETag``
    (Hugging Face Hub: the sha256 of a large file; an ETag of another length is not a
    checksum of the content).
    """
    found: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        if name == "x-goog-hash":
            for part in value.split(","):
                algorithm, _, digest = part.strip().partition("=")
                if algorithm in ("md5", "crc32c"):
                    found[algorithm] = base64.b64decode(digest).hex()
        elif name in ("x-linked-etag", "etag"):
            digest = value.removeprefix("W/").strip('"').lower()
            if re.fullmatch(r"[0-9a-f]{64}", digest):
                found.setdefault("sha256", digest)
    return found


def find_mismatch(path: Path, expected: Mapping[str, str]) -> str | None:
    """Returns what is wrong with a file by the strongest checksum, or None."""
    for algorithm in _STRONGEST_FIRST:
        if algorithm in expected:
            got = compute_checksum(path, algorithm)
            if got == expected[algorithm]:
                return None
            return f"{algorithm} is {got[:12]}..., not {expected[algorithm][:12]}..."
    return None


def compute_checksum(path: Path, algorithm: str) -> str:
    """Returns a file's ``md5``, ``sha256`` or ``compute_crc32c`` in hexadecimal."""
    with path.open("rb") as file:
        if algorithm != "crc32c":
            return hashlib.file_digest(file, algorithm).hexdigest()
        value = 0
        while block := file.read(_BLOCK):
            value = compute_crc32c(block, value)
    return f"{value:08x}"


def compute_crc32c(data: bytes, value: int = 0) -> int:
    """Returns the CRC-32C of what ``value`` is the CRC-32C of, and ``data`` after it."""
    length = len(data) // _LANES
    head = length * _LANES
    if length:
        lanes = np.frombuffer(data, np.uint8, head).reshape(_LANES, length)
        crc = np.zeros(_LANES, np.uint32)
        for column in np.ascontiguousarray(lanes.T):
            crc = _make_table()[(crc ^ column) & 0xFF] ^ (crc >> 8)
        value = _join(value, crc, length)
    value ^= 0xFFFFFFFF
    for byte in data[head:]:
        value = int(_make_table()[(value ^ byte) & 0xFF]) ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _join(value: int, lanes: np.ndarray, length: int) -> int:
    """Chains the lanes' registers, each started from 0, after the register ``value``.

    Shifting a register past ``length`` bytes is linear over GF(2); the register after
    a lane is the shifted one before it, plus the lane's own.
    """
    shift = _make_shift(length)
    register = value ^ 0xFFFFFFFF
    for lane in lanes.tolist():
        register = _apply(shift, register) ^ lane
    return register ^ 0xFFFFFFFF


@functools.cache
def _make_table() -> np.ndarray:
    """What a register of one byte becomes after that byte is shifted out."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), 0).astype(
            np.uint32
        )
    return table


@functools.cache
def _make_shift(num_bytes: int) -> tuple[tuple[int, ...], ...]:
    """The linear map of ``num_bytes`` zeros, as four tables of 256: one per byte."""
    columns = [1 << bit for bit in range(32)]
    power = [_shift_zero_byte(column) for column in columns]
    while num_bytes:
        if num_bytes & 1:
            columns = [_multiply(power, column) for column in columns]
        power = [_multiply(power, column) for column in power]
        num_bytes >>= 1
    return tuple(
        tuple(_multiply(columns, byte << 8 * position) for byte in range(256))
        for position in range(4)
    )


def _shift_zero_byte(register: int) -> int:
    return int(_make_table()[register & 0xFF]) ^ (register >> 8)


def _multiply(columns: list[int], register: int) -> int:
    result, bit = 0, 0
    while register:
        if register & 1:
            result ^= columns[bit]
        register >>= 1
        bit += 1
    return result


def _apply(tables: tuple[tuple[int, ...], ...], register: int) -> int:
    return (
        tables[0][register & 0xFF]
        ^ tables[1][register >> 8 & 0xFF]
        ^ tables[2][register >> 16 & 0xFF]
        ^ tables[3][register >> 24]
    )
