"""TFDS datasets that are missing, unknown, or in files that cannot be read at random."""

import shutil
from pathlib import Path

import pytest

from vit_jax.config import DataConfig
from vit_jax.data.sources import make_source
from vit_jax.errors import ConfigError


def source_error(source: str, data_dir: Path | None, split: str = "train") -> str:
    data = DataConfig(
        source=source,
        data_dir=str(data_dir) if data_dir else None,
        image_size=(8, 8),
        batch_size=1,
    )
    with pytest.raises(ConfigError) as error:
        make_source(data, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_by_name_version_and_folder(digits_cache: Path) -> None:
    for source in (
        "tfds:digits",
        "digits:1.0.0",
        "tfds:digits:1.0.0",
        str(digits_cache / "digits" / "1.0.0"),
    ):
        data = DataConfig(
            source=source, data_dir=str(digits_cache), image_size=(8, 8), batch_size=1
        )
        assert len(make_source(data, "train[:10%]")) == 144


def test_not_prepared(tmp_path: Path) -> None:
    message = source_error("tfds:cifar10", tmp_path)
    assert "pip install 'vit_jax[tfds]'" in message
    assert f"vit-jax data prepare cifar10 --data_dir={tmp_path}" in message
    assert source_error("cifar10", tmp_path) == message


def test_unknown(tmp_path: Path) -> None:
    assert 'got "cifar11"; did you mean "cifar10_1"?' in source_error(
        "cifar11", tmp_path
    )
    assert "write folder:DIR" in source_error("zzzzzzzz", tmp_path)
    assert "./zzz" in source_error("./zzz", tmp_path)
    assert "must be digits, folder:DIR, table:FILE" in source_error("", tmp_path)


def test_other_version_or_config(digits_cache: Path) -> None:
    message = source_error("digits:2.0.0", digits_cache)
    assert message.endswith('got "digits:2.0.0"; there are: digits:1.0.0')
    assert "there are: digits:1.0.0" in source_error("digits/big", digits_cache)
    assert "TFDS name must be NAME" in source_error("digits:2", digits_cache)
    assert "TFDS name must be NAME" in source_error("tfds:", digits_cache)


def test_data_dir_missing(tmp_path: Path) -> None:
    message = source_error("tfds:cifar10", tmp_path / "nowhere")
    assert "data.data_dir must be a folder" in message
    assert "vit-jax data prepare cifar10" in message


def test_tfrecord_files(digits_cache: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(digits_cache, tmp_path / "d") / "digits" / "1.0.0"
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    message = source_error("tfds:digits", tmp_path / "d")
    assert "must be prepared as ArrayRecord, got tfrecord files" in message
    assert f"--config.data.data_dir={tmp_path}/d/array_record" in message


def test_unknown_split(digits_cache: Path) -> None:
    message = source_error("tfds:digits", digits_cache, "validation")
    assert message.startswith('split must be one of train, test, got "validation"')
    assert "--config.data.eval_split" in message
