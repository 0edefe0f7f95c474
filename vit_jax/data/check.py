"""Reads a whole source once and says what is in it, and what is wrong with it."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vit_jax.config import DataConfig
from vit_jax.data.images.crops import resize
from vit_jax.data.images.decode import DecodeError, decode
from vit_jax.data.sources.registry import make_source
from vit_jax.data.sources.source import Source
from vit_jax.errors import ConfigError

_LISTED = 10  # of bad files, duplicates and classes, in the text
_TILE = 64  # pixels of a sample's side
_PER_CLASS = 8  # samples
_CLASSES = 40  # rows of the picture
_AHEAD = 256  # images

# Name, labels, digest, size, a small copy, and why there is none.
Look = tuple[str, tuple[int, ...], bytes, Any, Any, str]


@dataclasses.dataclass(frozen=True)
class Report:
    """What ``check_data`` found; all of it is plain JSON but for ``samples``.

    Attributes:
      num_images: with those that cannot be read.
      sizes: least, median and largest (height, width), each on its own.
      class_counts: name -> images.
      bad_files: name -> reason.
      duplicates: groups of names whose bytes are the same.
      conflicts: how many of the groups carry different labels.
      samples: class name -> a few images, uint8 [64, 64, 3].
    """

    source: str
    split: str
    num_images: int
    sizes: dict[str, tuple[int, int]]
    class_counts: dict[str, int]
    bad_files: dict[str, str]
    duplicates: list[list[str]]
    conflicts: int
    samples: dict[str, list[np.ndarray]] = dataclasses.field(repr=False)

    @property
    def imbalance(self) -> float:
        """How many times more images the largest class has than the smallest."""
        counts = self.class_counts.values()
        return max(counts) / max(1, min(counts))

    def to_json(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["samples"]
        return {**fields, "imbalance": self.imbalance}

    def lines(self) -> list[str]:
        """Returns the report as a person reads it."""
        counts = sorted(self.class_counts.items(), key=lambda item: -item[1])
        text = [f"{self.source} ({self.split}): {self.num_images:,} images"]
        for name, (height, width) in self.sizes.items():
            text.append(f"  {name} height {height}, width {width}")
        text.append(f"{len(counts)} classes, largest : smallest = {self.imbalance:.1f}")
        shown = counts if len(counts) <= 2 * _LISTED else [
            *counts[:_LISTED], ("...", 0), *counts[-_LISTED:]
        ]  # fmt: skip
        text += [
            f"  {name}  {n:,}" if n or name != "..." else "  ..." for name, n in shown
        ]
        text.append(f"{len(self.bad_files)} unreadable files")
        text += [f"  {reason}" for reason in list(self.bad_files.values())[:_LISTED]]
        copies = sum(len(group) - 1 for group in self.duplicates)
        text.append(
            f"{copies} duplicates in {len(self.duplicates)} groups, "
            f"{self.conflicts} of them with different labels"
        )
        text += [f"  {' = '.join(group[:3])}" for group in self.duplicates[:_LISTED]]
        return text


def check_data(
    source: str, split: str = "all", data_dir: str | None = None, progress: bool = True
) -> Report:
    """Returns what is in a source, all of which is read and decoded.

    Args:
      source: as ``data.source`` in a config.
      split: a split string; ``all`` also finds images that are in two splits.
      data_dir: the folder of TFDS datasets.
      progress: whether a bar is shown.

    Raises:
      ConfigError: no such source or split, or not one image can be read.
    """
    data = DataConfig(source=source, data_dir=data_dir, image_size=(1, 1), batch_size=1)
    images = make_source(data, split)
    names = images.class_names or tuple(map(str, range(images.num_classes)))
    counts = dict.fromkeys(names, 0)
    sizes, bad = [], {}
    same: dict[bytes, list[tuple[str, Any]]] = collections.defaultdict(list)
    samples: dict[str, list[np.ndarray]] = {}
    with contextlib.closing(_look_at_all(images)) as found:
        for name, labels, digest, size, tile, reason in tqdm(
            found, total=len(images), unit="image", disable=not progress
        ):
            if reason:
                bad[name] = reason
                continue
            sizes.append(size)
            same[digest].append((name, labels))
            for label in labels:
                counts[names[label]] += 1
                rows = samples.setdefault(names[label], [])
                if len(rows) < _PER_CLASS:
                    rows.append(tile)
    if not sizes:
        raise ConfigError(
            f"source must have an image that can be read, got {len(bad)} that cannot, "
            f"such as: {next(iter(bad.values()))}"
        )
    groups = [group for group in same.values() if len(group) > 1]
    ranked = np.sort(np.array(sizes), axis=0)
    return Report(
        source=source,
        split=split,
        num_images=len(images),
        sizes={
            name: (int(row[0]), int(row[1]))
            for name, row in (
                ("least", ranked[0]),
                ("median", ranked[len(ranked) // 2]),
                ("largest", ranked[-1]),
            )
        },
        class_counts=counts,
        bad_files=bad,
        duplicates=[[name for name, _ in group] for group in groups],
        conflicts=sum(len({labels for _, labels in group}) > 1 for group in groups),
        samples=samples,
    )


def _look_at_all(images: Source) -> Generator[Look, None, None]:
    """Yields what `_look` returns for each image, in order, a few read ahead.

    (``Executor.map`` would keep 4 kB for each of millions.)
    """
    waiting: collections.deque[concurrent.futures.Future[Look]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for index in range(len(images)):
            waiting.append(pool.submit(_look, images, index))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _look(images: Source, index: int) -> Look:
    """Returns what is to be known of an image."""
    name = f"#{index}"
    try:
        example = images[index]
        name, label, content = example["name"], example["label"], example["image"]
        many = np.flatnonzero(label) if images.multi_label else [label]
        labels = tuple(int(i) for i in many)
        pixels = decode(content, name=name)
        digest = hashlib.sha256(content).digest()
        tile = resize(pixels, (_TILE, _TILE), "area")
        return name, labels, digest, pixels.shape[:2], tile, ""
    except DecodeError as error:
        return name, (), b"", None, None, str(error)
    except OSError as error:
        name = error.filename or name
        return name, (), b"", None, None, f"{name}: {error.strerror}"


def write_picture(report: Report, path: Path) -> None:
    """Writes a row of samples for each class, its name and count beside it.

    Of many classes the largest ones and the smallest are shown.
    """
    from PIL import Image, ImageDraw, ImageFont

    ranked = sorted(report.samples, key=lambda name: -report.class_counts[name])
    if len(ranked) > _CLASSES:
        ranked = [*ranked[: _CLASSES // 2], *ranked[-_CLASSES // 2 :]]
    font = ImageFont.load_default(13)
    captions = {name: f"{name[:40]}  {report.class_counts[name]:,}" for name in ranked}
    margin = 16 + int(max(font.getlength(text) for text in captions.values()))
    width = margin + _PER_CLASS * (_TILE + 2) + 8
    canvas = Image.new("RGB", (width, len(ranked) * (_TILE + 2) + 8), "white")
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(ranked):
        top = 5 + row * (_TILE + 2)
        draw.text((8, top + _TILE // 2), captions[name], "black", font, anchor="lm")
        for column, tile in enumerate(report.samples[name]):
            canvas.paste(Image.fromarray(tile), (margin + column * (_TILE + 2), top))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)
