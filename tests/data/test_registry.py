"""Which kind of source a text names, the table's rows, and a caller's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vit_jax.config import DataConfig
from vit_jax.config.choices import SOURCES
from vit_jax.data import train_batches
from vit_jax.data.sources import Source, make_source
from vit_jax.data.sources.registry import recognize_source
from vit_jax.data.sources.splits import resolve_split
from vit_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("source", "kind", "location"),
    [
        ("digits", "digits", ""),
        ("digits:1.0.0", "tfds", "digits:1.0.0"),
        ("folder:a/b", "folder", "a/b"),
        ("folder:gs://bucket/a", "folder", "gs://bucket/a"),
        ("folder:labels.csv", "folder", "labels.csv"),
        ("table:labels", "table", "labels"),
        ("labels.csv", "table", "labels.csv"),
        ("gs://bucket/labels.jsonl", "table", "gs://bucket/labels.jsonl"),
        ("https://host/a.tsv?token=b.c", "table", "https://host/a.tsv?token=b.c"),
        ("train-{0000..0127}.tar", "tar", "train-{0000..0127}.tar"),
        ("a.parquet", "parquet", "a.parquet"),
        ("gs://bucket/a", "folder", "gs://bucket/a"),
        ("tfds:cifar10:3.0.2", "tfds", "cifar10:3.0.2"),
        ("cifar10/big:3.0.2", "tfds", "cifar10/big:3.0.2"),
    ],
)
def test_what_a_text_names(source: str, kind: str, location: str) -> None:
    assert recognize_source(source) == (kind, location)


def test_folders_that_exist(tmp_path: Path) -> None:
    assert recognize_source(str(tmp_path)) == ("folder", str(tmp_path))
    (tmp_path / "dataset_info.json").touch()
    assert recognize_source(str(tmp_path)) == ("tfds", str(tmp_path))


def test_every_row_opens_something() -> None:
    suffixes = [suffix for row in SOURCES.values() for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
    for name, row in SOURCES.items():
        assert callable(SOURCES.resolve(name))
        assert row.form.partition(":")[0] == name
        assert row.help


def test_an_error_lists_every_row(tmp_path: Path) -> None:
    for source in ("", "./nowhere", "zzzzzzzz"):
        data = DataConfig(
            source=source, data_dir=str(tmp_path), image_size=(8, 8), batch_size=1
        )
        with pytest.raises(ConfigError) as caught:
            make_source(data, "train")
        for form in SOURCES.list_forms():
            assert form in str(caught.value)


class Gray:
    """A gray image for each value; bright ones are of the second class."""

    multi_label, class_names, num_classes = False, ("dark", "bright"), 2

    def __init__(self, side: int, start: int, stop: int) -> None:
        self._side, self._start = side, start
        self.num_examples = stop - start

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        value = self._start + index
        image = np.full((self._side, self._side, 3), value, np.uint8)
        return {"image": image, "label": value // 128, "name": f"gray/{value}"}


def open_gray(location: str, split: str, data: DataConfig) -> Source:
    ((_, start, stop),) = resolve_split(split, {"train": 256})
    return Gray(int(location or 4), start, stop)


def test_a_source_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SOURCES, "_rows", dict(SOURCES))
    SOURCES.register("gray", open_gray, "one image for each gray value", "gray[:SIDE]")
    data = DataConfig(source="gray:8", image_size=(8, 8), batch_size=16, flip=False)
    source = make_source(data, "train[:50%]")
    assert len(source) == 128
    assert source[3]["image"].shape == (8, 8, 3)
    assert make_source(DataConfig("gray", (4, 4), 2), "train")[0]["image"].shape[0] == 4
    batches = train_batches(source, data, seed=0)
    batch = next(batches)
    batches.close()
    assert batch["image"].shape == (16, 8, 8, 3)
    assert set(batch["label"].tolist()) == {0}
    with pytest.raises(ConfigError, match=r"folder:DIR.*, gray\[:SIDE\], a path"):
        make_source(DataConfig("./nowhere", (4, 4), 2), "train")
