"""CSV, TSV and JSON lines."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vit_jax.config import DataConfig
from vit_jax.data.convert import convert_source
from vit_jax.data.export import export_images
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError

Make = Callable[..., Path]


def read(table: Path, split: str) -> Source:
    data = DataConfig(source=str(table), image_size=(8, 8), batch_size=1)
    return make_source(data, split)


def labels(source: Source) -> dict[str, int]:
    examples = [source[i] for i in range(len(source))]
    return {Path(example["name"]).name: example["label"] for example in examples}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8-sig" if name == "bom.csv" else "utf-8")
    return path


@pytest.mark.parametrize("name", ["list.csv", "bom.csv", "list.tsv", "list.jsonl"])
def test_given_splits_and_names(make_files: Make, name: str) -> None:
    root = make_files("a/1.png", "a/2.png", "3.png")
    rows = [
        ("path", "label", "split"),
        ("a/1.png", "dog", "train"),
        ("a/2.png", "ant, red", "train"),
        ("3.png", "dog", "val"),
    ]
    if name.endswith("jsonl"):
        keys = rows.pop(0)
        text = "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)
    elif name.endswith("tsv"):
        text = "\n".join("\t".join(row) for row in rows)
    else:
        text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    table = write(root, name, text + "\n")
    train = read(table, "train")
    assert train.class_names == ("ant, red", "dog")
    assert labels(train) == {"1.png": 1, "2.png": 0}
    assert labels(read(table, "val")) == {"3.png": 1}
    assert train[0]["image"].startswith(b"\x89PNG")


def test_automatic_split(make_files: Make) -> None:
    root = make_files(*(f"{i}.png" for i in range(15)))
    lines = [f"{i}.png,{'x' if i < 10 else 'y'}" for i in range(15)]
    table = write(root, "list.csv", "image,class\n" + "\n".join(lines))
    train, test = labels(read(table, "train")), labels(read(table, "test"))
    assert sorted(train.values()) == [0] * 8 + [1] * 4
    assert sorted(test.values()) == [0] * 2 + [1]
    assert not set(train) & set(test)
    assert len(read(table, "train[:50%]")) == 6


def test_numbers_are_the_labels(make_files: Make) -> None:
    root = make_files("1.png", "2.png")
    table = write(
        root, "list.jsonl", '{"path":"1.png","label":10}\n{"path":"2.png","label":2}\n'
    )
    source = read(table, "all")
    assert labels(source) == {"1.png": 10, "2.png": 2}
    assert source.num_classes == 11


@pytest.mark.parametrize("labels", [("007", "1"), ("20230101", "3"), ("٣", "1")])
def test_codes_are_names(make_files: Make, labels: tuple[str, str]) -> None:
    root = make_files("1.png", "2.png")
    text = "path,label\n" + "".join(f"{i + 1}.png,{x}\n" for i, x in enumerate(labels))
    assert read(write(root, "a.csv", text), "all").class_names == tuple(sorted(labels))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            'path,label\n"1.png,x\n' + "2.png,y\n" * 20_000,
            "look for a quotation mark that is not closed",
        ),
        ("a.csv", "path,label\n", "must list at least one image"),
        ("a.csv", "", "must list at least one image"),
        (
            "a.csv",
            "picture,label\n1.png,x\n",
            "column image or path, got picture, label",
        ),
        ("a.csv", "path,kind\n1.png,x\n", "column label or class, got path, kind"),
        (
            "a.csv",
            "path,label\n1.png,x\n2.png,\n",
            "must have a label, got none in row 2",
        ),
        (
            "a.csv",
            "path,label\n1.png,x\n2.png\n",
            "must have a label, got none in row 2",
        ),
        ("a.jsonl", '{"path": 1\n', "must be a JSON object, got line 1: {"),
        ("a.jsonl", "[1]\n", "must be a JSON object, got line 1: [1]"),
        ("a.csv", "path,label,split\n1.png,x,test\n", "split must be one of test, got"),
    ],
)
def test_what_is_wrong_with_a_table(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(write(tmp_path, name, text), "train")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file that exists"):
        read(tmp_path / "none.csv", "train")


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_several_labels(make_files: Make, name: str) -> None:
    root = make_files("1.png", "2.png", "3.png")
    if name == "list.csv":
        text = "path,labels\n1.png,dog|ant\n2.png,\n3.png,cow\n"
    else:
        text = (
            '{"path": "1.png", "labels": ["dog", "ant"]}\n'
            '{"path": "2.png", "labels": []}\n{"path": "3.png", "labels": ["cow"]}\n'
        )
    source = read(write(root, name, text), "all")
    assert source.multi_label
    assert source.class_names == ("ant", "cow", "dog")
    rows = {
        Path(e["name"]).name: e["label"].tolist()
        for e in map(source.__getitem__, range(3))
    }
    assert rows == {"1.png": [1, 0, 1], "2.png": [0, 0, 0], "3.png": [0, 1, 0]}


def test_several_labels_fit_into_no_folder(make_files: Make, tmp_path: Path) -> None:
    root = make_files("1.png")
    table = write(root, "list.csv", "path,labels\n1.png,dog|ant\n")
    with pytest.raises(ConfigError, match="must have one label each"):
        export_images(str(table), tmp_path / "out", "all")
    with pytest.raises(ConfigError, match="must have one label each"):
        convert_source(str(table), tmp_path / "out", ["all"])
