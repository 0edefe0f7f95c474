"""Tar shards (webdataset layout), read at random: an index is made once for each."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.sources import folders
from vit_jax.data.sources.splits import resolve_split, sort_by_hash, split_stratified
from vit_jax.data.sources.tables import sort_classes
from vit_jax.errors import ConfigError
from vit_jax.storage import files
from vit_jax.storage.cache import find_cache_folder
from vit_jax.storage.remote import report_read_errors

Entry = tuple[str, str, int, int]  # name in the shard, label, offset, size


class TarSource:
    """Images inside tar files; ``entries`` are (shard number, offset, size, label).

    Attributes:
      num_examples: how many images.
      class_names: the labels, sorted; numbers stand for themselves.
      num_classes: how many.
    """

    multi_label = False

    def __init__(
        self,
        shards: Sequence[str],
        entries: np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        self._shards = list(shards)
        self._entries = entries
        self.class_names: tuple[str, ...] | None = tuple(class_names)
        self.num_classes = len(class_names)
        self.num_examples = len(entries)

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        shard, offset, size, label = map(int, self._entries[index])
        return {
            "image": files.read_part(self._shards[shard], offset, size),
            "label": label,
            "name": f"{self._shards[shard]}@{offset}",
        }


def open_tars(path: str, split: str, data: DataConfig | None = None) -> TarSource:
    """Returns a split of the images in tar files.

    A shard's name says its split (``train-0001.tar``, ``imagenet_val_3.tar``); if none
    does, ``train`` and ``test`` are drawn from each class, 80% and 20%. An image's
    label is in the member beside it, ``0001.jpg`` and ``0001.cls`` (or ``0001.json``
    with the key ``label``); without one it is the folder in the shard, or the shard's
    own name where the image's begins with it, as in ImageNet's n01440764.tar.

    The index of each shard is kept in the cache folder, until the shard changes.

    Args:
      path: a folder with ``*.tar`` (at any depth), one tar file, a glob pattern, or a
        series: ``train-{0000..0127}.tar``.
      split: a split string.

    Raises:
      ConfigError: no tar files, a damaged one, no images, or an image without label.
    """
    shards = files.match_files(os.path.expanduser(path), ".tar")
    if not shards:
        raise ConfigError(f'tar files must exist, got none for "{path}"')
    with concurrent.futures.ThreadPoolExecutor() as pool:
        indices = list(pool.map(_read_index, shards))
    classes = sort_classes([label for index in indices for _, label, _, _ in index])
    if not classes:
        raise ConfigError(
            f"tar files must hold images ({', '.join(folders.SUFFIXES)}), got none in "
            f"{shards[0]} and the {len(shards) - 1} others"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    names, rows = [], []
    for number, index in enumerate(indices):
        for name, label, offset, size in index:
            names.append(f"{os.path.basename(shards[number])}/{name}")
            rows.append((number, offset, size, numbers[label]))
    entries = np.array(rows, np.int64)
    splits = _find_splits([_find_split(shard) for shard in shards], names, entries)
    sizes = {name: len(members) for name, members in splits.items()}
    selected = []
    for name, start, stop in resolve_split(split, sizes):
        members = splits[name]
        order = sort_by_hash([names[i] for i in members])
        selected.append(members[order[start:stop]])
    return TarSource(shards, entries[np.concatenate(selected)], classes)


def _find_split(shard: str) -> str | None:
    words = re.split(r"[-_.\d]+", _get_stem(shard).lower())
    return next((name for name in folders.SPLITS if name in words), None)


def _find_splits(
    shard_splits: Sequence[str | None], names: Sequence[str], entries: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the examples of each split."""
    if None in shard_splits:
        train, test = split_stratified(names, entries[:, 3])
        return {"train": train, "test": test}
    found = np.array([str(name) for name in shard_splits])[entries[:, 0]]
    return {name: np.flatnonzero(found == name) for name in sorted(set(found))}


def _get_stem(path: str) -> str:
    return os.path.basename(path).partition(".")[0]


def _read_index(shard: str) -> list[Entry]:
    """Returns the images of a shard, from the cache if the shard is unchanged."""
    identity = f"{shard}|{files.fingerprint(shard)}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    cached = find_cache_folder() / "tar_index" / f"{digest}.json"
    with contextlib.suppress(OSError, ValueError):  # not there, another user's, damaged
        return [tuple(entry) for entry in json.loads(cached.read_text())]
    with report_read_errors(shard):
        entries = _scan(shard)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False) as file:
            json.dump(entries, file)
        os.replace(file.name, cached)
    except OSError:
        pass  # slower the next time, nothing else
    return entries


def _scan(shard: str) -> list[Entry]:
    try:
        with (
            files.open_file(shard) as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            images, labels = _list_members(tar)
    except tarfile.TarError as error:
        raise ConfigError(
            f"tar file must be readable, got {shard} ({error}); write it again"
        ) from error
    entries = []
    for key, (name, offset, size) in images.items():
        label = labels.get(key) or key.rpartition("/")[0].rpartition("/")[2]
        if label in ("", ".") and os.path.basename(name).startswith(_get_stem(shard)):
            label = _get_stem(shard)
        if label in ("", "."):
            raise ConfigError(
                f"each image must have a label, got {name} in {shard} without a "
                f"{_get_stem(name)}.cls beside it or a folder around it"
            )
        entries.append((name, label, offset, size))
    return entries


def _list_members(
    tar: tarfile.TarFile,
) -> tuple[dict[str, tuple[str, int, int]], dict[str, str]]:
    """Returns key -> (name, offset, size) of the images, and key -> label."""
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    for member in tar:
        folder, _, base = member.name.rpartition("/")
        if not member.isfile() or base.startswith("."):
            continue
        # webdataset: the key ends at the first dot of the file's name.
        key = f"{folder}/{base.partition('.')[0]}"
        content = tar.extractfile(member)
        if base.lower().endswith(folders.SUFFIXES):
            images[key] = member.name, member.offset_data, member.size
        elif content and base.endswith(".cls"):
            labels[key] = content.read().decode().strip()
        elif content and base.endswith(".json"):
            label = json.loads(content.read()).get("label")
            labels |= {} if label is None else {key: str(label)}
    return images, labels
