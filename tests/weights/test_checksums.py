"""Checksums against published values and a second way to count them."""

from pathlib import Path

import numpy as np
import pytest

from vit_jax.weights import checksums
from vit_jax.weights.checksums import (
    compute_checksum,
    compute_crc32c,
    find_mismatch,
    parse_checksums,
)


@pytest.mark.parametrize(
    ("data", "value"),
    [  # RFC 3720, appendix B.4, and the usual check value
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_crc32c(data: bytes, value: int) -> None:
    assert compute_crc32c(data) == value


def test_crc32c_in_lanes_is_crc32c_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = np.random.default_rng(0).bytes(100_003)
    fast = compute_crc32c(data)
    assert compute_crc32c(data[70_000:], compute_crc32c(data[:70_000])) == fast
    monkeypatch.setattr(checksums, "_LANES", len(data) + 1)
    assert compute_crc32c(data) == fast


def test_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"123456789")
    assert compute_checksum(path, "crc32c") == "e3069283"
    assert compute_checksum(path, "md5") == "25f9e794323b453885f5181f1b624d0b"
    assert compute_checksum(path, "sha256").startswith("15e2b0d3c33891eb")
    assert find_mismatch(path, {}) is None
    assert find_mismatch(path, {"crc32c": "e3069283"}) is None
    # The strongest decides.
    wrong = {"crc32c": "e3069283", "md5": "0" * 32}
    assert find_mismatch(path, wrong) == "md5 is 25f9e794323b..., not 000000000000..."


def test_stated() -> None:
    assert parse_checksums(
        [("x-goog-hash", "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==")]
    ) == {
        "crc32c": "e3069283",
        "md5": "25f9e794323b453885f5181f1b624d0b",
    }
    sha = "ab" * 32
    # The Hub's own answer, then that of its store, whose ETag is something else.
    answers = [("X-Linked-ETag", f'"{sha}"'), ("ETag", f'"{"cd" * 32}"')]
    assert parse_checksums(answers) == {"sha256": sha}
    assert parse_checksums([("ETag", '"25f9e794323b453885f5181f1b624d0b"')]) == {}
