"""The embedded data set: exact counts, exact pixels, no TensorFlow, whoever writes."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vit_jax.config import DataConfig
from vit_jax.data.images.decode import decode
from vit_jax.data.sources import make_source
from vit_jax.data.sources.digits import VERSION, load_arrays, prepare_digits
from vit_jax.errors import ConfigError


def test_counts_and_classes(digits: DataConfig) -> None:
    counts = {}
    for split in ("train", "test"):
        source = make_source(digits, split)
        assert source.class_names == tuple("0123456789")
        assert source.num_classes == 10
        labels = [source[i]["label"] for i in range(len(source))]
        counts[split] = np.bincount(labels).tolist()
        assert sum(counts[split]) == source.num_examples == len(source)
    assert counts["train"] == [142, 146, 142, 146, 145, 146, 145, 143, 139, 144]
    assert counts["test"] == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]


def test_every_image_once_and_its_pixels(digits: DataConfig) -> None:
    source = make_source(digits, "train+test")
    read = [decode(source[i]["image"]) for i in range(len(source))]
    assert read[0].shape == (8, 8, 3)
    images, _ = load_arrays()
    assert images.min() == 0
    assert images.max() == 255
    assert 128 in images
    assert sorted(image[:, :, 0].tobytes() for image in read) == sorted(
        image.tobytes() for image in images
    )
    # In this order on every machine: results can be compared to the digit.
    digest = hashlib.sha256(b"".join(image.tobytes() for image in read)).hexdigest()
    assert digest[:16] == "5d14a6a3acd8623b"


def test_reading_needs_no_tensorflow(digits_cache: Path) -> None:
    program = (
        "import sys; from vit_jax.data import *; from vit_jax.config import DataConfig;"
        "data = DataConfig(source='digits', image_size=(8, 8), batch_size=4);"
        "next(make_train_batches(make_source(data, 'train[:50%]'), data, seed=0));"
        "import tensorflow_datasets as tfds;"
        f"b = tfds.builder_from_directory({str(digits_cache / 'digits' / VERSION)!r});"
        "assert b.as_data_source('test')[0]['image'].shape == (8, 8, 1);"
        "assert 'tensorflow' not in sys.modules"
    )
    environment = {**os.environ, "VIT_JAX_CACHE": str(digits_cache)}
    result = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        folders = pool.map(prepare_digits, [tmp_path, tmp_path])
    assert folders[0] == folders[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]


def test_leftovers_of_a_killed_process_do_no_harm(tmp_path: Path) -> None:
    unfinished = tmp_path / ".digits-abc" / "digits" / VERSION
    unfinished.mkdir(parents=True)
    (unfinished / "dataset_info.json").write_text("{")
    folder = prepare_digits(tmp_path)
    assert (folder / "features.json").exists()
    before = folder.stat().st_mtime_ns
    assert prepare_digits(tmp_path) == folder
    assert folder.stat().st_mtime_ns == before


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="set VIT_JAX_CACHE to a folder that is"):
        prepare_digits(tmp_path / "file")
