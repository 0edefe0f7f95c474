"""What a look through a source finds."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import encode
from vit_jax.cli import main
from vit_jax.config import DataConfig
from vit_jax.data import check as data_check
from vit_jax.data.check import check_data, write_picture
from vit_jax.data.sources import make_source
from vit_jax.errors import ConfigError


@pytest.fixture
def folder(make_files: Callable[..., Path]) -> Path:
    root = make_files("train/ant/1.png", "train/ant/2.png", "train/ant/3.png", "train/bee/4.png",
                      "test/ant/5.png", "test/bee/6.png")  # fmt: skip
    (root / "train" / "bee" / "empty.jpg").touch()
    (root / "test" / "bee" / "copy.png").write_bytes(
        (root / "train" / "ant" / "1.png").read_bytes()
    )
    wide = encode(np.zeros((9, 70, 3), np.uint8))
    (root / "test" / "ant" / "wide.png").write_bytes(wide)
    return root


def test_report(folder: Path, tmp_path: Path) -> None:
    report = check_data(str(folder), progress=False)
    assert report.num_images == 9
    assert report.class_counts == {"ant": 5, "bee": 3}
    assert report.sizes == {"least": (5, 4), "median": (5, 4), "largest": (9, 70)}
    assert report.imbalance == pytest.approx(5 / 3)
    ((bad, reason),) = report.bad_files.items()
    assert bad.endswith("bee/empty.jpg")
    assert "0 bytes" in reason
    # Also in another split, and under another name.
    ((one, other),) = report.duplicates
    assert {Path(one).name, Path(other).name} == {"1.png", "copy.png"}
    assert report.conflicts == 1
    text = "\n".join(report.lines())
    assert "9 images" in text
    assert "1 unreadable files" in text
    assert "1 duplicates in 1 groups, 1 of them with different labels" in text
    assert json.loads(json.dumps(report.to_json()))["conflicts"] == 1
    write_picture(report, tmp_path / "out" / "samples.png")
    with Image.open(tmp_path / "out" / "samples.png") as picture:
        assert picture.height == 2 * 66 + 8


def test_one_split(folder: Path) -> None:
    report = check_data(str(folder), "train", progress=False)
    assert report.num_images == 5
    assert not report.duplicates


def test_several_labels(make_files: Callable[..., Path]) -> None:
    root = make_files("1.png", "2.png", "3.png")
    (root / "list.csv").write_text("path,labels\n1.png,ant|bee\n2.png,bee\n3.png,\n")
    report = check_data(str(root / "list.csv"), progress=False)
    assert not report.bad_files
    assert report.class_counts == {"ant": 1, "bee": 2}


def test_millions_are_not_all_queued_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_check, "_AHEAD", 2)
    data = DataConfig(source=str(folder), image_size=(1, 1), batch_size=1)
    images = make_source(data, "all")
    read = []
    monkeypatch.setattr(data_check, "_look", lambda _, index: read.append(index))
    found = data_check._look_at_all(images)
    next(found)
    time.sleep(0.2)  # for whatever is queued
    assert sorted(read) == [0, 1, 2]
    assert len(list(found)) == 8
    assert sorted(read) == list(range(9))


@pytest.mark.parametrize("name", ["samples.foo", "samples"])
def test_a_picture_of_no_type_is_told_before_all_is_read(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = folder / name
    assert main(["data", "check", str(folder), f"--picture={picture}"]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.startswith("vit-jax: error: --picture must end in .png or .jpg")


def test_nothing_to_read(make_files: Callable[..., Path]) -> None:
    root = make_files("a/1.png")
    (root / "a" / "1.png").write_text("text")
    with pytest.raises(
        ConfigError, match="an image that can be read, got 1 that cannot"
    ):
        check_data(str(root), progress=False)
