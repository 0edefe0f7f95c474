"""Image folders: ``{train,val,test}/class/**`` or ``class/**`` with an automatic split."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vit_jax.config import ConfigError
from vit_jax.data.splits import (
    hash_order,
    resolve_split,
    split_names,
    stratified_split,
)

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SPLITS = ("train", "val", "valid", "validation", "test")

Files = list[tuple[str, int]]  # (path below the folder, label)


class FolderSource:
    """Image files and their labels, in the order given; tuples if ``multi_label``.

    Attributes:
      num_examples: the number of files.
      class_names: the names of the class folders, sorted; labels count through them.
      num_classes: the number of class folders.
    """

    def __init__(
        self,
        folder: str,
        files: Sequence[tuple[str, Any]],
        class_names: Sequence[str],
        multi_label: bool = False,
    ) -> None:
        self._folder = folder
        self._files = list(files)
        self.class_names: tuple[str, ...] | None = tuple(class_names)
        self.num_classes = len(class_names)
        self.num_examples = len(self._files)
        self.multi_label = multi_label

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, label = self._files[index]
        if self.multi_label:
            label = multi_hot(label, self.num_classes)
        path = os.path.join(self._folder, name)
        with open(path, "rb", buffering=0) as file:  # read at once; a buffer costs time
            return {"image": file.read(), "label": label, "name": path}


def multi_hot(labels: Sequence[int], num_classes: int) -> np.ndarray:
    """Returns uint8 [num_classes]: 1 at each label, else 0."""
    row = np.zeros(num_classes, np.uint8)
    row[list(labels)] = 1
    return row


def open_folder(folder: str, split: str) -> FolderSource:
    """Returns a split of a folder of images, in which each class is a folder.

    If the folder holds ``train`` (with folders of classes in it) beside ``val`` or
    ``test``, these are the splits, and each must have the same classes. Otherwise its
    folders are the classes, and ``train`` and ``test`` are drawn from each class: 80%
    and 20%, the same on every machine. Images may lie at any depth in their class.
    Hidden files, and files that no image type claims, are passed over.

    The order within a split follows a hash of the names, so that ``train[:10%]`` has
    images of all classes.

    Raises:
      ConfigError: no folder, no images, an empty class, or a class that one split lacks.
    """
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise ConfigError(
            f'folder of images must exist, got "{folder}"; '
            "its class folders hold the images: DIR/cat/1.jpg"
        )
    names = [path.name for path in _subfolders(root)]
    if _has_splits(root, names):
        classes, splits = _read_splits(root, names, split)
    else:
        classes, splits = _split_classes(root, names)
    sizes = {name: len(files) for name, files in splits.items()}
    selected: Files = []
    for name, start, stop in resolve_split(split, sizes):
        files = splits[name]
        order = hash_order([path for path, _ in files])
        selected += [files[i] for i in order[start:stop]]
    return FolderSource(str(root), selected, classes)


def _has_splits(root: pathlib.Path, names: Sequence[str]) -> bool:
    """Tells splits from classes; a class may well be called "train"."""
    if "train" in names:
        return bool(_subfolders(root / "train"))
    return bool(names) and set(names) <= set(SPLITS)


def _read_splits(
    root: pathlib.Path, names: Sequence[str], spec: str
) -> tuple[list[str], dict[str, Files]]:
    """Lists the splits in ``spec``; the classes are those of ``train``, if there."""
    known = [name for name in SPLITS if name in names]
    wanted = known if "all" in split_names(spec) else split_names(spec)
    reference = known[0]
    classes = [path.name for path in _subfolders(root / reference)]
    splits: dict[str, Files] = {name: [] for name in known}
    for split in known:
        if split in wanted:
            found = [path.name for path in _subfolders(root / split)]
            _check_classes(root, (reference, classes), (split, found))
            splits[split] = [
                (f"{split}/{path}", label)
                for label, name in enumerate(classes)
                for path in _images(root / split, name)
            ]
    if reference in wanted:
        _check_not_empty(root / reference, classes, splits[reference])
    return classes, splits


def _split_classes(
    root: pathlib.Path, classes: list[str]
) -> tuple[list[str], dict[str, Files]]:
    """Lists all classes and splits each."""
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in _images(root, name)
    ]
    _check_not_empty(root, classes, files)
    train, test = stratified_split(
        [path for path, _ in files], [label for _, label in files]
    )
    return classes, {
        "train": [files[i] for i in train],
        "test": [files[i] for i in test],
    }


def _check_classes(root: pathlib.Path, *splits: tuple[str, Sequence[str]]) -> None:
    """Raises ConfigError unless both splits have the same class folders."""
    for (here, classes), (there, others) in (splits, splits[::-1]):
        missing = sorted(set(classes) - set(others))
        if missing:
            more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
            raise ConfigError(
                f'"{here}" and "{there}" in {root} must have the same class folders, '
                f'got "{missing[0]}"{more} only in "{here}"; '
                f"add {root / there / missing[0]} or remove the other"
            )


def _check_not_empty(root: pathlib.Path, classes: Sequence[str], files: Files) -> None:
    """Raises ConfigError if there is no image, or none in a class."""
    if not files:
        loose = "; put each image in the folder of its class" if _loose(root) else ""
        raise ConfigError(
            f"folder of images must hold class folders with images "
            f"({', '.join(SUFFIXES)}), got none in {root}{loose}"
        )
    counts = np.bincount([label for _, label in files], minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if not count:
            raise ConfigError(
                f"each class folder must hold an image, got none in {root / name}; "
                "add images or remove the folder"
            )


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    hidden = (".", "__MACOSX")
    paths = [path for path in folder.iterdir() if not path.name.startswith(hidden)]
    return sorted(path for path in paths if path.is_dir())


def _loose(folder: pathlib.Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def _images(root: pathlib.Path, name: str) -> list[str]:
    """Returns the paths below ``root`` of the images of class ``name``, sorted."""
    found = []
    for folder, subfolders, files in os.walk(root / name, followlinks=True):
        subfolders[:] = [each for each in subfolders if not each.startswith(".")]
        prefix = pathlib.Path(folder).relative_to(root).as_posix()
        found += [
            f"{prefix}/{file}"
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith(".")
        ]
    return sorted(found)
