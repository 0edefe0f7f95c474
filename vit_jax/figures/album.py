"""A checkpoint and its images: what figures and reports are made of."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vit_jax.checkpoints.load import Loaded
from vit_jax.data import sources
from vit_jax.data.images import crops
from vit_jax.data.images.decode import decode
from vit_jax.errors import ConfigError
from vit_jax.evaluators import Subject, calibration, classes, collect, open_subject
from vit_jax.evaluators.subject import Collected, find_class_name
from vit_jax.figures.canvas import shorten
from vit_jax.infer.image_files import read_image
from vit_jax.infer.predict import compute_probabilities

NUM_SAMPLES = 8  # of the split, where no images are given
NUM_MISTAKES = 20


class Mistake(NamedTuple):
    """An image that was called something else, with which confidence in [0, 1]."""

    image: np.ndarray  # uint8 [h, w, 3], as the model sees it
    name: str
    truth: str
    answer: str
    confidence: float


class Album:
    """What figures of one checkpoint are drawn from; each part is read when needed.

    Args:
      loaded: of `vit_jax.checkpoints.load.load`.
      paths: image files to look at; none: some of the evaluated split.
      source: other data than the run's.
      split: None: the run's ``eval_split``.
    """

    def __init__(
        self,
        loaded: Loaded,
        paths: Sequence[str] = (),
        source: str | None = None,
        split: str | None = None,
    ) -> None:
        self.loaded = loaded
        self.errors: dict[str, str] = {}  # path -> why it could not be read
        self.paths = paths
        self._source, self._split = source, split
        self.name = shorten(loaded.name, 44)

    @functools.cached_property
    def subject(self) -> Subject:
        return open_subject(self.loaded, self._split, self._source)

    @functools.cached_property
    def logits(self) -> Collected:
        return collect(self.subject, "logits")

    @functools.cached_property
    def samples(self) -> tuple[np.ndarray, list[str]]:
        """Images, uint8 [n, h, w, 3], and their names: the files, or of the split."""
        if not self.paths:
            return self.of_split(NUM_SAMPLES)
        images, names = [], []
        for path in self.paths:
            try:
                images.append(read_image(path, self.loaded.preprocessing))
                names.append(Path(path).name)
            except ConfigError as error:
                self.errors[path] = str(error)
        if not images:
            raise ConfigError(next(iter(self.errors.values())))
        return np.stack(images), names

    def of_split(self, number: int) -> tuple[np.ndarray, list[str]]:
        """Returns so many images of the evaluated split, evenly spread, and classes."""
        source = sources.make_source(self.subject.data, self.subject.split)
        images, names = [], []
        for i in np.unique(np.linspace(0, len(source) - 1, number).astype(int)):
            try:
                images.append(self.image(source, int(i)))
            except (ConfigError, OSError):  # evaluation leaves it out too
                continue
            label = source[int(i)]["label"]
            names.append(
                f"#{i}" if source.multi_label else find_class_name(source, label)
            )
        if not images:
            raise ConfigError(
                f"split {self.subject.split} must have images that can be read, got "
                "none; name files instead"
            )
        return np.stack(images), names

    def image(self, source: sources.Source, index: int) -> np.ndarray:
        """Returns an image as the model sees it: uint8 [h, w, 3]."""
        example = source[index]
        pixels = decode(example["image"], name=example["name"])
        return crops.crop_eval(pixels, self.loaded.preprocessing)

    def class_names(self) -> list[str]:
        source = self.logits.source
        return [find_class_name(source, i) for i in range(source.num_classes)]

    def mistakes(self, number: int = NUM_MISTAKES) -> list[Mistake]:
        """Returns the most confident mistakes on the split, the worst first."""
        found, names = self.logits, self.class_names()
        scores = np.asarray(compute_probabilities(self.loaded, found.values))
        answers, confidence = scores.argmax(axis=1), scores.max(axis=1)
        wrong = np.flatnonzero(answers != found.labels)
        worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:number]
        return [
            Mistake(
                image=self.image(found.source, int(found.indices[i])),
                name=str(found.source[int(found.indices[i])]["name"]),
                truth=names[found.labels[i]],
                answer=names[answers[i]],
                confidence=float(confidence[i]),
            )
            for i in worst
        ]

    def confusion(self) -> np.ndarray:
        """Returns counts [y, y]."""
        found = self.logits
        return classes.count_confusion(
            found.labels, found.values.argmax(axis=1), found.values.shape[1]
        )

    def top(self, number: int) -> float:
        """Returns the share of the images whose class is among so many answers."""
        found = self.logits
        best = np.argsort(-found.values, axis=1, kind="stable")[:, :number]
        return float((best == found.labels[:, None]).any(axis=1).mean())

    def reliability(self) -> dict:
        """Returns what `evaluators.calibration.reliability` does."""
        scores = np.asarray(compute_probabilities(self.loaded, self.logits.values))
        is_right = scores.argmax(axis=1) == self.logits.labels
        return calibration.compute_reliability(scores.max(axis=1), is_right)
