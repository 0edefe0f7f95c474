"""Image folders in both layouts, and what is wrong with some."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vit_jax.config import DataConfig
from vit_jax.data.images.decode import decode
from vit_jax.data.sources import make_source
from vit_jax.data.sources.folders import FolderSource, open_folder
from vit_jax.errors import ConfigError
from vit_jax.storage import files

Make = Callable[..., Path]


def names(source: FolderSource, root: Path) -> dict[str, int]:
    examples = [source[i] for i in range(len(source))]
    return {
        str(Path(example["name"]).relative_to(root)): example["label"]
        for example in examples
    }


def folder_error(folder: Path, split: str) -> str:
    with pytest.raises(ConfigError) as error:
        open_folder(str(folder), split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_given_splits(make_files: Make) -> None:
    root = make_files(
        "train/cat/1.PNG", "train/cat/deep/er/2.png", "train/ant/3.jpg",
        "val/cat/4.webp", "val/ant/5.tiff", "test/cat/6.gif", "test/ant/7.jpeg",
        "train/cat/notes.txt", "train/cat/.hidden.png", "train/.cache/8.png",
    )  # fmt: skip
    train = open_folder(str(root), "train")
    assert train.class_names == ("ant", "cat")
    assert train.num_classes == 2
    assert names(train, root) == {
        "train/cat/1.PNG": 1, "train/cat/deep/er/2.png": 1, "train/ant/3.jpg": 0
    }  # fmt: skip
    assert names(open_folder(str(root), "val"), root) == {
        "val/cat/4.webp": 1, "val/ant/5.tiff": 0
    }  # fmt: skip
    assert len(open_folder(str(root), "train+test[:50%]")) == 4
    assert len(open_folder(str(root), "all")) == 7


def test_bytes_are_those_of_the_file(make_files: Make) -> None:
    root = make_files("train/a/1.png", "train/b/2.png")
    source = open_folder(str(root), "train")
    for example in (source[0], source[1]):
        value = 1 if example["name"].endswith("2.png") else 0
        np.testing.assert_array_equal(
            decode(example["image"]), np.full((5, 4, 3), value, np.uint8)
        )


def test_automatic_split(make_files: Make) -> None:
    root = make_files(
        *(f"cat/{i}.png" for i in range(20)), *(f"ant/{i}.jpg" for i in range(10))
    )
    train = names(open_folder(str(root), "train"), root)
    test = names(open_folder(str(root), "test"), root)
    assert sorted(train.values()) == [0] * 8 + [1] * 16
    assert sorted(test.values()) == [0] * 2 + [1] * 4
    assert not set(train) & set(test)
    # A slice has images of both classes though the folders are listed one by one.
    part = names(open_folder(str(root), "train[:50%]"), root)
    assert set(part.values()) == {0, 1}


def test_a_class_may_be_called_train(make_files: Make) -> None:
    root = make_files(*(f"{c}/{i}.png" for c in ("car", "train") for i in range(5)))
    assert open_folder(str(root), "test").class_names == ("car", "train")


def test_source_prefix_and_bare_path(make_files: Make) -> None:
    root = make_files("train/a/1.png", "train/b/2.png")
    for source in (f"folder:{root}", str(root)):
        data = DataConfig(source=source, image_size=(8, 8), batch_size=1)
        assert len(make_source(data, "train")) == 2


def test_class_missing_from_test(make_files: Make) -> None:
    root = make_files("train/a/1.png", "train/b/2.png", "test/a/3.png")
    assert len(open_folder(str(root), "train")) == 2
    message = folder_error(root, "test")
    assert '"train" and "test"' in message
    assert 'got "b" only in "train"' in message
    assert f"add {root}/test/b" in message


def test_class_only_in_test(make_files: Make) -> None:
    root = make_files("train/a/1.png", "test/a/3.png", "test/c/3.png", "test/d/3.png")
    assert 'got "c" (and 1 more) only in "test"' in folder_error(root, "test")


def test_split_that_is_not_there(make_files: Make) -> None:
    message = folder_error(make_files("train/a/1.png", "val/a/1.png"), "test")
    assert message.startswith('split must be one of train, val, got "test"')


def test_no_images(make_files: Make, tmp_path: Path) -> None:
    assert "must exist" in folder_error(tmp_path / "none", "train")
    (tmp_path / "empty").mkdir()
    assert "got none in" in folder_error(tmp_path / "empty", "train")
    root = make_files("1.png", "2.png")
    assert "put each image in the folder of its class" in folder_error(root, "train")
    (root / "cat").mkdir()
    assert "got none in" in folder_error(root, "train")


def test_empty_class(make_files: Make) -> None:
    root = make_files("a/1.png", "a/2.png")
    (root / "b").mkdir()
    message = folder_error(root, "train")
    assert f"each class folder must hold an image, got none in {root}/b" in message


def test_links_are_followed_but_not_in_circles(make_files: Make) -> None:
    root = make_files("images/cat/1.png", "elsewhere/2.png")
    (root / "images" / "cat" / "more").symlink_to(root / "elsewhere")
    (root / "images" / "cat" / "self").symlink_to(".")
    (root / "images" / "cat" / "back").symlink_to(root / "images")
    found = sorted(files.walk_files(str(root / "images")))
    assert found == ["cat/1.png", "cat/more/2.png"]
