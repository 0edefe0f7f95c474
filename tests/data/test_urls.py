"""Sources behind URLs: fsspec's file system in memory, and a web server."""

import dataclasses
import io
import itertools
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.data.image_files import encode
from tests.data.test_loader import digest
from tests.data.web import serve
from vit_jax.config import DataConfig
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.check import check_data
from vit_jax.data.loader import eval_batches, train_batches
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError
from vit_jax.storage import files, remote

fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

FILES = [
    f"{split}/{c}/{i}.png" for split in ("train", "test") for c in "ab" for i in "123"
]


def image(value: int) -> bytes:
    return encode(np.full((5, 4, 3), value, np.uint8))


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def open_source(source: str, split: str = "train") -> Source:
    return make_source(
        DataConfig(source=source, image_size=(4, 4), batch_size=1), split
    )


def contents(source: Source) -> list[tuple[bytes, int]]:
    return [(source[i]["image"], source[i]["label"]) for i in range(len(source))]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_PAUSE_S", 0.0)


@pytest.fixture
def bucket() -> Iterator[str]:
    """An empty place in memory that can be listed, as a bucket can."""
    memory = fsspec.filesystem("memory")
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def put(url: str, content: bytes) -> None:
    fsspec.filesystem("memory").pipe(url, content)


def test_a_folder_is_that_of_the_disk(
    bucket: str, make_files: Callable[..., Path]
) -> None:
    root = make_files(*FILES, "train/a/.hidden/1.png", "train/a/deep/er/4.PNG")
    for path in root.rglob("*.*"):
        if path.is_file():
            put(f"{bucket}/{path.relative_to(root)}", path.read_bytes())
    for split in ("train", "test", "train[:50%]+test"):
        here, there = open_source(str(root), split), open_source(bucket, split)
        assert contents(there) == contents(here)
        assert there.class_names == here.class_names
        assert there[0]["name"].startswith("memory://bucket/")
    assert len(open_source(f"folder:{bucket}/", "train")) == 7
    assert check_data(bucket, progress=False).num_images == 13
    with pytest.raises(ConfigError, match="must exist, got"):
        open_source(f"folder:{bucket}/nothing")


def test_tables_shards_and_parquet_in_a_bucket(bucket: str) -> None:
    put(f"{bucket}/x/1.png", image(1))
    put(f"{bucket}/x/list.csv", b"path,label,split\n1.png,a,train\n")
    assert contents(open_source(f"{bucket}/x/list.csv")) == [(image(1), 0)]
    for i in range(2):
        put(f"{bucket}/t/train-{i}.tar", tar_of({f"c{i}/{i}.png": image(i)}))
    expected = [(image(i), i) for i in range(2)]
    for pattern in ("t", "t/*.tar", "t/train-{0..1}.tar"):
        assert sorted(contents(open_source(f"tar:{bucket}/{pattern}"))) == sorted(
            expected
        )
    put(f"{bucket}/t/train-0.tar", tar_of({"c0/0.png": image(9)}))
    assert (image(9), 0) in contents(open_source(f"tar:{bucket}/t"))
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cells = [{"bytes": image(i), "path": None} for i in range(5)]
    cells.append({"bytes": None, "path": "../x/1.png"})
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"image": cells, "label": list("abacba")}), buffer, row_group_size=2
    )
    put(f"{bucket}/p/train.parquet", buffer.getvalue())
    rows = contents(open_source(f"parquet:{bucket}/p"))
    assert sorted(rows) == sorted((image(i), j) for i, j in zip([*range(5), 1], [0, 1, 0, 2, 1, 0], strict=True))  # fmt: skip


def test_a_table_on_the_web_read_by_threads_and_processes(
    digits: DataConfig, tmp_path: Path
) -> None:
    content = {f"/images/{i}.png": image(i) for i in range(20)}
    lines = [f"images/{i}.png,{'ab'[i % 2]},train" for i in range(20)]
    lines += ["images/gone.png,a,train", "images/0.png,a,test"]
    content["/list.csv"] = ("image,label,split\n" + "\n".join(lines)).encode()
    with serve(content, failing={"/images/3.png": 2}) as url:
        data = dataclasses.replace(digits, source=f"{url}/list.csv?key=1", batch_size=8)
        content["/list.csv?key=1"] = content["/list.csv"]
        source = make_source(data, "train")
        digests = set()
        for threads, workers in ((1, 0), (4, 0), (1, 1)):
            report = tmp_path / f"bad_{threads}_{workers}.txt"
            changed = dataclasses.replace(
                data, num_threads=threads, num_workers=workers
            )
            batches = train_batches(source, changed, seed=0, bad_files=BadFiles(report))
            digests.add(digest(itertools.islice(batches, 4), 4))
            batches.close()
            # What a hiccup hides is read again, what is not there is named.
            ((name, reason),) = BadFiles(report).reasons.items()
            assert name == f"{url}/images/gone.png"
            assert reason.endswith("gone.png (not found); replace or remove it")
        assert len(digests) == 1
        (batch,) = eval_batches(make_source(data, "test"), data)
        assert batch["mask"].sum() == 1
        found = check_data(data.source, progress=False)
        assert [*found.bad_files] == [f"{url}/images/gone.png"]
        local = tmp_path / "list.jsonl"
        local.write_text(f'{{"path": "{url}/images/7.png", "label": "x"}}\n')
        assert contents(open_source(str(local), "all")) == [(image(7), 0)]


def test_shards_and_parquet_on_the_web(digits: DataConfig) -> None:
    content = {
        f"/train-{i:02}.tar": tar_of(
            {f"c/{i}.png": image(i), f"d/{i}.png": image(50 + i)}
        )
        for i in range(3)
    }
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [image(1)] * 3, "label": [0, 1, 1]}), buffer)
    content["/train.parquet"] = buffer.getvalue()
    with serve(content) as url:
        shards = open_source(f"tar:{url}/train-{{00..02}}.tar")
        values = dict(contents(shards))
        assert values == {image(i + 50 * j): j for i in range(3) for j in range(2)}
        assert [label for _, label in contents(open_source(f"{url}/train.parquet"))].count(1) == 2  # fmt: skip
        data = dataclasses.replace(digits, batch_size=6, num_workers=1, num_threads=1)
        batches = train_batches(shards, data, seed=0)
        assert sorted(next(batches)["label"]) == [0, 0, 0, 1, 1, 1]
        batches.close()
    with (
        serve(content, ranges=False) as url,
        pytest.raises(OSError, match="gives no parts of files"),
    ):
        files.read_part(f"{url}/train-00.tar", 512, 8)


def test_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(source: str) -> str:
        with pytest.raises(ConfigError) as error:
            open_source(source)
        assert "\n" not in str(error.value)
        return str(error.value)

    with serve({}, failing={"/down.csv": 99}) as url:
        assert "over http give a table" in message(f"folder:{url}/images")
        assert f"got {url}/gone.csv (not found)" in message(f"{url}/gone.csv")
        assert "down.csv (503 " in message(f"{url}/down.csv")
        assert f"got {url}/x.tar (not found)" in message(f"{url}/x.tar")
        assert f"got {url}/x.parquet (not found)" in message(f"{url}/x.parquet")
    assert "a URL that fsspec knows, got nope://x" in message("nope://x/list.csv")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert "pip install 'vit_jax[remote]'" in message("s3://bucket/list.csv")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert "pip install 'vit_jax[remote]'" in message("gs://bucket/flowers")
