"""Tar shards in the layouts that people have."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.data.image_files import encode
from vit_jax.config import DataConfig
from vit_jax.data.images.decode import decode
from vit_jax.data.sources import Source, make_source, tars
from vit_jax.errors import ConfigError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_JAX_CACHE", str(tmp_path / "cache"))


def write(path: Path, members: Mapping[str, bytes | str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def image(value: int) -> bytes:
    return encode(np.full((4, 5, 3), value, np.uint8))


def read(path: Path | str, split: str) -> Source:
    data = DataConfig(source=f"tar:{path}", image_size=(8, 8), batch_size=1)
    return make_source(data, split)


def pixels(source: Source) -> dict[int, int]:
    """Returns value of the image -> label."""
    examples = [source[i] for i in range(len(source))]
    return {int(decode(e["image"])[0, 0, 0]): e["label"] for e in examples}


def test_labels_beside_the_images(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    for shard in range(2):
        members = {}
        for i in range(shard * 3, shard * 3 + 3):
            members |= {f"{i:04}.png": image(i), f"{i:04}.cls": f"{i % 2}\n"}
        write(shards / f"set-train-{shard:04}.tar", members)
    write(
        shards / "set-val-0000.tar",
        {
            "a/9.seg.json": "{}",
            "a/9.png": image(9),
            "a/9.json": json.dumps({"label": 1}),
        },
    )
    train = read(shards, "train")
    assert train.class_names == ("0", "1")
    assert pixels(train) == {i: i % 2 for i in range(6)}
    assert pixels(read(shards, "val")) == {9: 1}
    assert pixels(read(shards / "set-train-*.tar", "train")) == pixels(train)
    assert len(read(shards, "train[:50%]+val")) == 4


def test_folders_are_classes_and_are_split(tmp_path: Path) -> None:
    members = {f"./{c}/{i}.png": image(i) for i in range(10) for c in "ab"}
    write(tmp_path / "all.tar", members)
    data = DataConfig(source=f"{tmp_path}/all.tar", image_size=(8, 8), batch_size=1)
    test = make_source(data, "test")
    assert test.class_names == ("a", "b")
    assert sorted(test[i]["label"] for i in range(len(test))) == [0, 0, 1, 1]
    assert len(make_source(data, "train")) == 16


def test_index_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = tmp_path / "train.tar"
    write(shard, {"a/1.png": image(1)})
    first = pixels(read(shard, "train"))
    with monkeypatch.context() as patch:
        patch.delattr(tars, "_scan")
        assert pixels(read(shard, "train")) == first
    write(shard, {"a/1.png": image(1), "b/2.png": image(2)})
    os.utime(shard, (1, 1))
    assert pixels(read(shard, "train")) == {1: 0, 2: 1}


def test_threads_share_a_source(tmp_path: Path) -> None:
    write(tmp_path / "train.tar", {f"a/{i}.png": image(i) for i in range(64)})
    source = read(tmp_path, "train")
    with ThreadPoolExecutor(4) as pool:
        read_at = lambda i: decode(source[i]["image"])[0, 0, 0]
        values = list(pool.map(read_at, [*range(64)] * 5))
    assert values == values[:64] * 5
    assert sorted(values[:64]) == list(range(64))


def test_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got none for"):
        read(tmp_path, "train")
    (tmp_path / "bad.tar").write_text("not a tar file, but long enough " * 40)
    with pytest.raises(ConfigError, match=r"must be readable, got .*bad\.tar"):
        read(tmp_path, "train")
    write(tmp_path / "bad.tar", {"1.txt": "x"})
    with pytest.raises(ConfigError, match="must hold images"):
        read(tmp_path, "train")
    write(tmp_path / "bad.tar", {"1.png": image(1)})
    with pytest.raises(ConfigError, match=r"without a 1\.cls beside it"):
        read(tmp_path, "train")


def test_classes_of_imagenet_are_shards(tmp_path: Path) -> None:
    for i, name in enumerate(("n01440764", "n02084071")):
        members = {f"{name}_{j}.PNG": image(10 * i + j) for j in range(3)}
        write(tmp_path / "winter21" / f"{name}.tar", members)
    source = read(tmp_path, "all")
    assert source.class_names == ("n01440764", "n02084071")
    assert pixels(source) == {10 * i + j: i for i in range(2) for j in range(3)}


@pytest.mark.parametrize("damage", [b"", b"[[", None])
def test_an_index_that_cannot_be_read_is_made_anew(
    tmp_path: Path, damage: bytes | None
) -> None:
    write(tmp_path / "train.tar", {"a/1.png": image(1), "b/2.png": image(2)})
    expected = pixels(read(tmp_path / "train.tar", "train"))
    (index,) = (tmp_path / "cache" / "tar_index").iterdir()
    index.unlink()
    if damage is None:
        index.mkdir()  # as good as a file of another user
    else:
        index.write_bytes(damage)
    assert pixels(read(tmp_path / "train.tar", "train")) == expected
