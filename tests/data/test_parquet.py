"""Parquet files in the layout of Hugging Face's ``datasets``."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.image_files import encode
from vit_jax.config import DataConfig
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, labels: list, names: list[str] | None = None) -> None:
    images = [
        {"bytes": encode(np.full((4, 4, 3), i, np.uint8)), "path": None}
        for i in range(len(labels))
    ]
    table = pa.table({"image": images, "label": labels})
    if names:
        info = {
            "info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=3)


def read(path: Path, split: str) -> Source:
    data = DataConfig(source=f"parquet:{path}", image_size=(4, 4), batch_size=1)
    return make_source(data, split)


def test_splits_and_class_names(tmp_path: Path) -> None:
    names = ["cat", "dog"]
    write(tmp_path / "data" / "train-00000-of-00002.parquet", [0, 1, 1, 0, 1], names)
    write(tmp_path / "data" / "train-00001-of-00002.parquet", [1, 1], names)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", [0], names)
    train = read(tmp_path, "train")
    assert train.class_names == ("cat", "dog")
    assert len(train) == 7
    assert sorted(train[i]["label"] for i in range(7)) == [0, 0, 1, 1, 1, 1, 1]
    for i in range(7):
        example = train[i]
        row = int(example["name"].rpartition("#")[2])
        assert example["image"] == encode(np.full((4, 4, 3), row, np.uint8))
    assert len(read(tmp_path, "test")) == 1


def test_names_as_labels_and_an_automatic_split(tmp_path: Path) -> None:
    write(tmp_path / "all.parquet", ["b"] * 10 + ["a"] * 5)
    assert len(read(tmp_path / "all.parquet", "train")) == 12
    test = read(tmp_path / "all.parquet", "test")
    assert test.class_names == ("a", "b")
    assert sorted(test[i]["label"] for i in range(3)) == [0, 1, 1]


def test_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="got none for"):
        read(tmp_path, "train")
    pq.write_table(pa.table({"picture": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="columns image and label, got picture"):
        read(tmp_path, "train")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'vit_jax\[parquet\]'"):
        read(tmp_path, "train")


@pytest.mark.parametrize(
    ("labels", "names", "got"),
    [
        ([0, -1], ["cat", "dog"], "-1"),  # how a secret label is published
        ([0, None], ["cat", "dog"], "None"),
        ([0, 2], ["cat", "dog"], "2"),
        (["dog", "cow"], ["cat", "dog"], "cow"),
        ([0, -1], None, "-1"),
        ([0, None], None, "None"),
        ([[0], [0, 1]], None, r"\[0"),
    ],
)
def test_a_row_without_a_label_is_told(
    tmp_path: Path, labels: list, names: list[str] | None, got: str
) -> None:
    write(tmp_path / "train.parquet", labels, names)
    with pytest.raises(ConfigError, match=f"must have one label .* got {got}.* in row"):
        read(tmp_path, "train")


@pytest.mark.parametrize("names", [["1", "0"], None])
def test_a_split_without_labels_stands_in_nobody_s_way(
    tmp_path: Path, names: list[str] | None
) -> None:
    write(tmp_path / "train.parquet", [0, 1, 1], names)
    write(tmp_path / "test.parquet", [-1, -1], names)
    train = read(tmp_path, "train")
    assert train.num_classes == 2
    assert sorted(train[i]["label"] for i in range(3)) == [0, 1, 1]


def test_numbers_and_names_are_told_apart(tmp_path: Path) -> None:
    for labels in ([0, 1], ["1", "0"]):
        write(tmp_path / "train.parquet", labels, ["1", "0"])
        train = read(tmp_path, "train")
        found = {int(train[i]["name"][-1]): train[i]["label"] for i in range(2)}
        assert found == {0: 0, 1: 1}


def test_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [], ["cat", "dog"])
    with pytest.raises(ConfigError, match="must hold images, got none"):
        read(tmp_path, "train")
