"""Image folders: ``{train,val,test}/class/**`` or ``class/**`` with an automatic split."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.sources.splits import (
    list_splits,
    resolve_split,
    sort_by_hash,
    split_stratified,
)
from vit_jax.errors import ConfigError
from vit_jax.storage import files

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SPLITS = ("train", "val", "valid", "validation", "test")

Members = list[tuple[str, int]]  # (path below the folder, label)


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
        members: Sequence[tuple[str, Any]],
        class_names: Sequence[str],
        multi_label: bool = False,
    ) -> None:
        self._folder = folder
        self._members = list(members)
        self.class_names: tuple[str, ...] | None = tuple(class_names)
        self.num_classes = len(class_names)
        self.num_examples = len(self._members)
        self.multi_label = multi_label

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, label = self._members[index]
        if self.multi_label:
            label = encode_multi_hot(label, self.num_classes)
        path = files.join_path(self._folder, name)
        return {"image": files.read_bytes(path), "label": label, "name": path}


def encode_multi_hot(labels: Sequence[int], num_classes: int) -> np.ndarray:
    """Returns uint8 [num_classes]: 1 at each label, else 0."""
    row = np.zeros(num_classes, np.uint8)
    row[list(labels)] = 1
    return row


def open_folder(
    folder: str, split: str, data: DataConfig | None = None
) -> FolderSource:
    """Returns a split of a folder of images, in which each class is a folder.

    If the folder holds ``train`` (with folders of classes in it) beside ``val`` or
    ``test``, these are the splits, and each must have the same classes. Otherwise its
    folders are the classes, and ``train`` and ``test`` are drawn from each class: 80%
    and 20%, the same on every machine. Images may be at any depth in their class.
    Hidden files and files without an image's suffix are skipped.

    The order within a split follows a hash of the names, so that ``train[:10%]`` has
    images of all classes.

    Raises:
      ConfigError: no folder, no images, an empty class, or a class that one split lacks.
    """
    root = os.path.expanduser(folder).rstrip("/") or "/"
    if not files.is_listed_folder(root):
        raise ConfigError(
            f'folder of images must exist, got "{folder}"; '
            "its class folders hold the images: DIR/cat/1.jpg"
        )
    names = _list_subfolders(root)
    if _has_splits(root, names):
        classes, splits = _read_splits(root, names, split)
    else:
        classes, splits = _split_classes(root, names)
    sizes = {name: len(members) for name, members in splits.items()}
    selected: Members = []
    for name, start, stop in resolve_split(split, sizes):
        members = splits[name]
        order = sort_by_hash([path for path, _ in members])
        selected += [members[i] for i in order[start:stop]]
    return FolderSource(root, selected, classes)


def _has_splits(root: str, names: Sequence[str]) -> bool:
    """Returns whether folders are splits or classes; a class may be called "train"."""
    if "train" in names:
        return bool(_list_subfolders(files.join_path(root, "train")))
    return bool(names) and set(names) <= set(SPLITS)


def _read_splits(
    root: str, names: Sequence[str], spec: str
) -> tuple[list[str], dict[str, Members]]:
    """Lists the splits in ``spec``; the classes are those of ``train``, if there."""
    known = [name for name in SPLITS if name in names]
    wanted = known if "all" in list_splits(spec) else list_splits(spec)
    reference = known[0]
    classes = _list_subfolders(files.join_path(root, reference))
    splits: dict[str, Members] = {name: [] for name in known}
    for split in known:
        if split in wanted:
            found = _list_subfolders(files.join_path(root, split))
            _check_classes(root, (reference, classes), (split, found))
            splits[split] = [
                (f"{split}/{path}", label)
                for label, name in enumerate(classes)
                for path in _list_images(files.join_path(root, split), name)
            ]
    if reference in wanted:
        _check_not_empty(files.join_path(root, reference), classes, splits[reference])
    return classes, splits


def _split_classes(
    root: str, classes: list[str]
) -> tuple[list[str], dict[str, Members]]:
    """Lists all classes and splits each."""
    members = [
        (path, label)
        for label, name in enumerate(classes)
        for path in _list_images(root, name)
    ]
    _check_not_empty(root, classes, members)
    train, test = split_stratified(
        [path for path, _ in members], [label for _, label in members]
    )
    return classes, {
        "train": [members[i] for i in train],
        "test": [members[i] for i in test],
    }


def _check_classes(root: str, *splits: tuple[str, Sequence[str]]) -> None:
    """Raises ConfigError unless both splits have the same class folders."""
    for (here, classes), (there, others) in (splits, splits[::-1]):
        missing = sorted(set(classes) - set(others))
        if missing:
            more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
            raise ConfigError(
                f'"{here}" and "{there}" in {root} must have the same class folders, '
                f'got "{missing[0]}"{more} only in "{here}"; '
                f"add {root}/{there}/{missing[0]} or remove the other"
            )


def _check_not_empty(root: str, classes: Sequence[str], members: Members) -> None:
    """Raises ConfigError if there is no image, or none in a class."""
    if not members:
        loose = (
            "; put each image in the folder of its class"
            if _has_loose_images(root)
            else ""
        )
        raise ConfigError(
            f"folder of images must hold class folders with images "
            f"({', '.join(SUFFIXES)}), got none in {root}{loose}"
        )
    counts = np.bincount([label for _, label in members], minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if not count:
            raise ConfigError(
                f"each class folder must hold an image, got none in {root}/{name}; "
                "add images or remove the folder"
            )


def _list_subfolders(folder: str) -> list[str]:
    hidden = (".", "__MACOSX")
    return [
        name for name in files.list_folder(folder)[0] if not name.startswith(hidden)
    ]


def _has_loose_images(folder: str) -> bool:
    return any(name.lower().endswith(SUFFIXES) for name in files.list_folder(folder)[1])


def _list_images(root: str, name: str) -> list[str]:
    """Returns the paths below ``root`` of the images of class ``name``, sorted."""
    paths = files.walk_files(files.join_path(root, name))
    return sorted(f"{name}/{path}" for path in paths if path.lower().endswith(SUFFIXES))
