"""A source written as ArrayRecord files is the same source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vit_jax.cli import main
from vit_jax.config import DataConfig
from vit_jax.data.convert import convert_source
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError


def contents(source: Source) -> list[tuple[bytes, int]]:
    examples = (source[i] for i in range(len(source)))
    return [(example["image"], example["label"]) for example in examples]


def test_round_trip(
    make_files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_jax.data.sources.array_records._PER_SHARD", 3)
    root = make_files(*(f"{s}/{c}/{i}.png" for s in ("train", "val") for c in "ab"
                        for i in range(4)))  # fmt: skip
    output = tmp_path / "my_images"
    assert convert_source(str(root), output, ("train", "val")) == {"train": 8, "val": 8}
    assert len(list(output.rglob("*train*array_record*"))) == 3
    for split in ("train", "val", "train[:50%]"):
        size = {"image_size": (4, 4), "batch_size": 1}
        old = make_source(DataConfig(source=str(root), **size), split)
        new = make_source(
            DataConfig(source="tfds:my_images", data_dir=str(tmp_path), **size), split
        )
        assert contents(new) == contents(old)
        assert new.class_names == ("a", "b")
    with pytest.raises(ConfigError, match="must be new"):
        convert_source(str(root), output, ("train",))


def test_commands(
    make_files: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = make_files(*(f"{c}/{i}.png" for c in "ab" for i in range(5)))
    assert main(["data", "check", str(root), f"--picture={tmp_path / 'x.png'}"]) == 0
    assert "10 images" in capsys.readouterr().out
    assert (tmp_path / "x.png").exists()
    assert main(["data", "convert", str(root), str(tmp_path / "set")]) == 0
    out = capsys.readouterr().out
    assert "8 images of train, 2 images of test" in out
    assert f"--config.data.source=tfds:set --config.data.data_dir={tmp_path}" in out


def test_preparing_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    assert main(["data", "prepare", "cifar10"]) == 2
    assert "pip install 'vit_jax[tfds]'" in capsys.readouterr().err
