"""A folder as people have it: every kind of image file, and three that are none."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runs import TINY_FILE
from vit_jax.cli import main
from vit_jax.data.images.decode import DecodeError, decode


def write_folder(root: Path) -> set[str]:
    """Writes twelve good files and three bad ones; returns the names of the bad."""
    rng = np.random.default_rng(0)
    for split, name in ((s, c) for s in ("train", "test") for c in ("cat", "dog")):
        folder = root / split / name
        folder.mkdir(parents=True)
        pixels = rng.integers(0, 256, (20, 30, 4), np.uint8)
        color, gray = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels[..., 0])
        color.save(folder / "rgb.jpg")
        gray.save(folder / "gray.jpg")
        color.convert("CMYK").save(folder / "cmyk.jpg")
        color.convert("P").save(folder / "palette.png")
        Image.fromarray(pixels).save(folder / "alpha.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        color.save(folder / "rotated.jpg", exif=exif)
        color.save(folder / "anim.gif")
        color.save(folder / "photo.webp")
    cat = root / "train" / "cat"
    (cat / "empty.jpg").touch()
    (cat / "text.jpg").write_text("this is text")
    (cat / "huge.png").write_bytes(black_png(20_000))
    return {"empty.jpg", "text.jpg", "huge.png"}


def black_png(side: int) -> bytes:
    """Returns a real PNG of side x side black pixels, one bit each: 50 KB of file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(side // 8 + 1) * side, 9)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_trains_names_the_bad_ones_and_predicts(tmp_path, capsys):
    bad = write_folder(tmp_path / "images")
    config, workdir = tmp_path / "tiny.py", tmp_path / "run"
    config.write_text(TINY_FILE)
    argv = [
        "train", f"--config={config}", f"--workdir={workdir}",
        f"--config.data.source=folder:{tmp_path / 'images'}",
        "--config.data.batch_size=16", "--config.train.total_steps=4",
        "--config.optim.warmup_steps=0",
    ]  # fmt: skip
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert f"skipped 3 unreadable images, named in {workdir / 'bad_files.txt'}" in out
    lines = (workdir / "bad_files.txt").read_text().splitlines()
    assert {Path(line.split("\t")[0]).name for line in lines} == bad
    assert "(16 images)" in out
    good = sorted((tmp_path / "images" / "test").rglob("*.*"))
    assert main(["predict", f"--checkpoint={workdir}", "--json", *map(str, good)]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 16
    assert {a["predictions"][0]["name"] for a in answers} <= {"cat", "dog"}


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_damage_in_the_middle_of_a_jpeg_is_seen(kind):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=kind == "progressive")
    data = bytearray(buffer.getvalue())
    middle = len(data) // 2
    data[middle : middle + 300] = b"\xff\xd9" + bytes(298)
    with pytest.raises(DecodeError, match=r"damaged, got x\.jpg"):
        decode(bytes(data), name="x.jpg")
