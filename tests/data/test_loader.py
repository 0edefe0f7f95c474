"""Order, counts and errors of the batches."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.image_files import encode_header
from vit_jax.config import DataConfig
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.loader import make_eval_batches, make_train_batches
from vit_jax.data.memory import Batch
from vit_jax.data.sources import Source, make_source
from vit_jax.errors import ConfigError


class Numbers:
    """Images that hold their index in the source."""

    class_names: tuple[str, ...] | None = None
    num_classes = 1000
    multi_label = False

    def __init__(self, num_examples: int) -> None:
        self.num_examples = num_examples

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = np.full((3, 5, 1), index % 256, np.uint8)
        return {"image": image, "label": index, "name": f"#{index}"}


def digest(batches: Iterable[Batch], count: int) -> str:
    sha = hashlib.sha256()
    for batch in islice(batches, count):
        for key in sorted(batch):
            sha.update(batch[key].tobytes())
    return sha.hexdigest()


@pytest.fixture
def source(digits: DataConfig) -> Source:
    return make_source(digits, "train")


def test_batch(source: Source, digits: DataConfig) -> None:
    batches = make_train_batches(source, digits, seed=0)
    batch = next(batches)
    batches.close()
    assert sorted(batch) == ["image", "label"]
    assert batch["image"].shape == (24, 12, 8, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["label"].shape == (24,)
    assert batch["label"].dtype == np.int32
    assert batch["image"].any()


def test_order_does_not_depend_on_threads(source: Source, digits: DataConfig) -> None:
    digests = set()
    for num_threads in (1, 2, 4):
        data = dataclasses.replace(digits, num_threads=num_threads)
        digests.add(
            digest(make_train_batches(source, data, seed=0), 70)
        )  # past an epoch
    assert len(digests) == 1
    assert digests != {digest(make_train_batches(source, digits, seed=1), 70)}


@pytest.mark.parametrize("step", [0, 1, 63, 10**9])
def test_restart_at_any_step(source: Source, digits: DataConfig, step: int) -> None:
    batches = make_train_batches(source, digits, seed=3)
    batches.set_state({"step": step})
    next(batches)
    state = json.loads(json.dumps(batches.get_state()))
    assert state == {"step": step + 1}
    expected = [next(batches) for _ in range(2)]

    other = make_train_batches(
        source, dataclasses.replace(digits, num_threads=1), seed=3
    )
    next(other)
    other.set_state(state)
    for batch in expected:
        again = next(other)
        np.testing.assert_array_equal(again["image"], batch["image"])
        np.testing.assert_array_equal(again["label"], batch["label"])
    batches.close()
    other.close()


@pytest.mark.parametrize("hosts", [2, 3])
def test_hosts_hold_the_rows_of_one_host(
    source: Source, digits: DataConfig, hosts: int
) -> None:
    whole = make_train_batches(source, digits, seed=0)
    parts = [
        make_train_batches(source, digits, seed=0, process_index=i, process_count=hosts)
        for i in range(hosts)
    ]
    for _ in range(3):
        batch = next(whole)
        rows = [next(part) for part in parts]
        for key in batch:
            joined = np.concatenate([row[key] for row in rows])
            np.testing.assert_array_equal(joined, batch[key])
    for batches in (whole, *parts):
        batches.close()


def test_every_epoch_is_another_permutation(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, batch_size=5)
    batches = make_train_batches(Numbers(100), data, seed=0)
    epochs = [
        np.concatenate([next(batches)["label"] for _ in range(20)]) for _ in range(3)
    ]
    batches.close()
    for epoch in epochs:
        assert sorted(epoch) == list(range(100))
    assert len({epoch.tobytes() for epoch in epochs}) == 3
    # The next seed is not this one shifted by an epoch.
    following = make_train_batches(Numbers(100), data, seed=1)
    first = np.concatenate([next(following)["label"] for _ in range(20)])
    following.close()
    assert first.tolist() != epochs[1].tolist()


def test_no_example_is_left_out_between_epochs(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, batch_size=8)
    batches = make_train_batches(Numbers(10), data, seed=0)
    labels = np.concatenate([next(batches)["label"] for _ in range(5)])
    batches.close()
    assert np.bincount(labels).tolist() == [4] * 10


def test_crops_differ_between_epochs(digits: DataConfig) -> None:
    class One(Numbers):
        def __getitem__(self, index: int) -> dict[str, Any]:
            pixels = np.arange(48, dtype=np.uint8).reshape(6, 8, 1)
            return {"image": pixels, "label": 0, "name": ""}

    batches = make_train_batches(One(1), digits, seed=0)
    images = next(batches)["image"]
    batches.close()
    assert len({image.tobytes() for image in images}) > 12


def test_training_without_crop(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, train_crop="resize")
    batches = make_train_batches(Numbers(50), data, seed=0)
    batch = next(batches)
    batches.close()
    assert (batch["image"] == batch["label"][:, None, None, None]).all()


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("num_examples", [1, 7, 8, 9, 16, 1000])
def test_evaluation_counts_every_example_once(
    digits: DataConfig, num_examples: int, hosts: int
) -> None:
    data = dataclasses.replace(digits, eval_batch_size=8)
    labels = []
    for index in range(hosts):
        batches = make_eval_batches(
            Numbers(num_examples), data, process_index=index, process_count=hosts
        )
        assert batches.num_examples == num_examples
        count = 0
        for batch in batches:
            count += 1
            assert batch["image"].shape == (8 // hosts, 12, 8, 3)
            assert batch["mask"].dtype == bool
            assert batch["label"].dtype == np.int32
            labels.extend(batch["label"][batch["mask"]])
            assert not batch["image"][~batch["mask"]].any()
        assert count == len(batches) == -(-num_examples // 8)
    assert sorted(labels) == list(range(num_examples))


def test_evaluation_in_order_and_again(digits: DataConfig) -> None:
    batches = make_eval_batches(Numbers(50), digits)
    for _ in range(2):
        labels = np.concatenate([batch["label"] for batch in batches])
        assert labels.tolist() == [*range(50), *[0] * 22]


def test_hosts_must_share_a_batch(digits: DataConfig) -> None:
    with pytest.raises(ConfigError, match=r"data.batch_size must be .*; try 25"):
        make_train_batches(Numbers(9), digits, seed=0, process_index=0, process_count=5)
    with pytest.raises(ConfigError, match=r"data.eval_batch_size must be"):
        make_eval_batches(Numbers(9), digits, process_index=0, process_count=5)


def test_text_file_called_jpg(
    digits: DataConfig, make_files: Callable[..., Path]
) -> None:
    root = make_files(
        *(f"{split}/a/{i}.png" for split in ("train", "test") for i in "12")
    )
    for split in ("train", "test"):
        (root / split / "a" / "text.jpg").write_text("not an image")
    data = dataclasses.replace(digits, source=str(root), strict=True)
    for batches in (
        make_train_batches(make_source(data, "train"), data, seed=0),
        make_eval_batches(make_source(data, "test"), data),
    ):
        with pytest.raises(ConfigError) as error:
            next(iter(batches))
        assert "a/text.jpg, which begins with b'not an image'" in str(error.value)
        assert "\n" not in str(error.value)


def test_unreadable_images_are_skipped_and_named(
    digits: DataConfig, make_files: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [
        f"{split}/{c}/{i}.png"
        for split in ("train", "test")
        for c in "ab"
        for i in "123"
    ]
    root = make_files(*paths)
    for split in ("train", "test"):
        (root / split / "a" / "empty.png").touch()
        (root / split / "b" / "text.jpg").write_text("not an image")
        (root / split / "b" / "large.png").write_bytes(encode_header(20_000, "PNG"))
        (root / split / "b" / "gone.png").symlink_to(root / "nowhere")
    data = dataclasses.replace(
        digits, source=str(root), strict=False, batch_size=20, train_crop="resize"
    )
    report = tmp_path / "bad_files.txt"
    digests = set()
    for num_threads in (1, 3):
        data = dataclasses.replace(data, num_threads=num_threads)
        batches = make_train_batches(
            make_source(data, "train"), data, seed=0, bad_files=BadFiles(report)
        )
        digests.add(digest(batches, 3))
        batches.close()
    assert len(digests) == 1
    lines = report.read_text().splitlines()
    assert sorted(Path(line.split("\t")[0]).name for line in lines) == [
        "empty.png", "gone.png", "large.png", "text.jpg"
    ]  # fmt: skip
    assert len(BadFiles(report)) == 4

    bad_files = BadFiles()
    evaluation = make_eval_batches(make_source(data, "test"), data, bad_files=bad_files)
    (batch,) = evaluation
    assert evaluation.num_examples == 10
    assert batch["mask"].sum() == 6
    assert len(bad_files) == 4

    with pytest.raises(ConfigError, match="must be at most 3, got 4") as error:
        list(
            make_eval_batches(
                make_source(data, "test"), data, bad_files=BadFiles(limit=3)
            )
        )
    assert "raise --config.data.max_bad_files" in str(error.value)


def test_no_readable_image(digits: DataConfig, make_files: Callable[..., Path]) -> None:
    root = make_files("train/a/1.png")
    (root / "train" / "a" / "1.png").write_text("")
    data = dataclasses.replace(digits, source=str(root), strict=False)
    with pytest.raises(
        ConfigError, match=r"100 in a row that are not, such as .*1\.png"
    ):
        next(make_train_batches(make_source(data, "train"), data, seed=0))


PROGRAM = """
import os, signal, sys, time
import numpy as np
from vit_jax.config import DataConfig
from vit_jax.data.loader import make_eval_batches, make_train_batches

class Slow:
    class_names, num_classes, num_examples, multi_label = None, 1, 1000, False
    def __len__(self): return 1000
    def __getitem__(self, index):
        time.sleep(0.001)
        return {"image": np.zeros((4, 4), np.uint8), "label": 0, "name": ""}

# A shell that starts tests in the background has them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
data = DataConfig(source="digits", image_size=(4, 4), batch_size=64, num_threads=3)
batches = make_train_batches(Slow(), data, seed=0)
next(batches)
next(iter(make_eval_batches(Slow(), data)))
"""


@pytest.mark.parametrize(
    ("ending", "code", "stderr"),
    [
        ("", 0, ""),
        ("batches.close()", 0, ""),
        ("os.kill(os.getpid(), signal.SIGINT); next(batches)", -2, "KeyboardInterrupt"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -15, ""),
    ],
)
def test_program_ends_quietly(ending: str, code: int, stderr: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM + ending],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == code
    assert result.stdout == ""
    assert result.stderr.strip().endswith(stderr)
    assert result.stderr.count("Traceback") == bool(stderr)
    assert stderr or not result.stderr


@pytest.mark.parametrize("num_workers", [1, 2])
def test_order_does_not_depend_on_processes(
    source: Source, digits: DataConfig, num_workers: int
) -> None:
    """The first 50 batches, and 5 more behind a restart."""
    data = dataclasses.replace(digits, num_workers=num_workers, num_threads=1)
    batches, expected = (
        make_train_batches(source, each, seed=0) for each in (data, digits)
    )
    assert digest(batches, 50) == digest(expected, 50)
    state = batches.get_state()
    assert state == {"step": 50}
    batches.set_state(state)
    assert digest(batches, 5) == digest(expected, 5)
    batches.close()
    expected.close()


def test_processes_on_two_hosts(source: Source, digits: DataConfig) -> None:
    data = dataclasses.replace(digits, num_workers=2, num_threads=1)
    whole = make_train_batches(source, digits, seed=0)
    parts = [
        make_train_batches(source, data, seed=0, process_index=i, process_count=2)
        for i in range(2)
    ]
    for _ in range(3):
        batch, rows = next(whole), [next(part) for part in parts]
        for key in batch:
            joined = np.concatenate([row[key] for row in rows])
            np.testing.assert_array_equal(joined, batch[key])
    for batches in (whole, *parts):
        batches.close()


def test_evaluation_with_processes(
    digits: DataConfig, make_files: Callable[..., Path], tmp_path: Path
) -> None:
    """The count, and the names of the unreadable files, come through."""
    root = make_files(
        *(f"{split}/a/{i}.png" for split in ("train", "test") for i in "123")
    )
    (root / "test" / "a" / "empty.png").touch()
    data = dataclasses.replace(
        digits, source=str(root), num_workers=2, num_threads=1, eval_batch_size=2
    )
    bad_files = BadFiles(tmp_path / "bad_files.txt")
    batches = list(
        make_eval_batches(make_source(data, "test"), data, bad_files=bad_files)
    )
    assert sum(batch["mask"].sum() for batch in batches) == 3
    assert len(bad_files) == 1


def test_batches_that_are_held_keep_their_pixels(digits: DataConfig) -> None:
    """Memory is used again only when nobody holds the batch or a view of it."""
    data = dataclasses.replace(digits, train_crop="resize", num_threads=2)
    batches = make_train_batches(Numbers(50), data, seed=0)
    held = []
    for step in range(30):
        batch = next(batches)
        if step % 3 == 0:
            held.append((batch["image"][:5], batch["label"][:5].copy()))
    batches.close()
    for images, labels in held:
        assert (images == labels[:, None, None, None]).all()


def test_repeated_augmentation(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, batch_size=6, repeated_augmentation=3)
    batches = make_train_batches(Numbers(10), data, seed=0)
    labels = np.concatenate([next(batches)["label"] for _ in range(5)]).reshape(10, 3)
    batches.close()
    assert (labels == labels[:, :1]).all()
    assert sorted(labels[:, 0]) == list(range(10))


def test_sizes_by_step(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, train_crop="resize")
    batches = make_train_batches(
        Numbers(50), data, seed=0, size_at=lambda step: (4 + 4 * (step // 2), 8)
    )
    assert [next(batches)["image"].shape[1] for _ in range(5)] == [4, 4, 8, 8, 12]
    batches.set_state({"step": 1})
    assert [next(batches)["image"].shape[1] for _ in range(2)] == [4, 8]
    batches.close()


def test_evaluation_of_ten_thousand(digits: DataConfig) -> None:
    data = dataclasses.replace(digits, image_size=(2, 2), eval_batch_size=384)
    count = sum(b["mask"].sum() for b in make_eval_batches(Numbers(10_000), data))
    assert count == 10_000
