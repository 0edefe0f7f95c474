"""A checkpoint with its images and predictions: the data of figures and reports."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vit_jax.checkpoints.loaded import Loaded
from vit_jax.data import sources
from vit_jax.data.images import crops
from vit_jax.data.images.decode import decode
from vit_jax.errors import ConfigError
from vit_jax.evaluators import Subject, calibration, classes, collect, open_subject
from vit_jax.evaluators.subject import Collected, find_class_name
from vit_jax.figures.canvas import shorten
from vit_jax.infer.image_files import read_image
from vit_jax.infer.predict import compute_probabilities

NUM_SAMPLES = 8  # images of the split, where no files are given
NUM_MISTAKES = 20


class Mistake(NamedTuple):
    """A wrongly classified image.

    Attributes:
      image: uint8 [h, w, 3], resized and cropped for the model.
      name: of the image in its source.
      truth: name of the true class.
      answer: name of the predicted class.
      confidence: probability of the predicted class, in [0, 1].
    """

    image: np.ndarray
    name: str
    truth: str
    answer: str
    confidence: float


class Album:
    """The data that figures of one checkpoint show, each part computed when first used.

    Args:
      loaded: the model; see `vit_jax.checkpoints.load.load`.
      paths: image files to show; if empty, some images of the split.
      source: data to evaluate on; None: the run's.
      split: the split to evaluate; None: the run's ``eval_split``.
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
        """The model and the split that it is evaluated on."""
        return open_subject(self.loaded, self._split, self._source)

    @functools.cached_property
    def logits(self) -> Collected:
        """Logits and labels of the whole split."""
        return collect(self.subject, "logits")

    @functools.cached_property
    def samples(self) -> tuple[np.ndarray, list[str]]:
        """Images, uint8 [n, h, w, 3], and their names: the files, or some of the split."""
        if not self.paths:
            return self.read_split(NUM_SAMPLES)
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

    def read_split(self, number: int) -> tuple[np.ndarray, list[str]]:
        """Returns evenly spaced images of the split, and the names of their classes.

        Args:
          number: of images; unreadable ones among them are skipped.

        Returns:
          Images, uint8 [n, h, w, 3], and names.

        Raises:
          ConfigError: no image can be read.
        """
        source = sources.make_source(self.subject.data, self.subject.split)
        images, names = [], []
        for i in np.unique(np.linspace(0, len(source) - 1, number).astype(int)):
            try:
                images.append(self.read_example(source, int(i)))
            except (ConfigError, OSError):  # evaluation skips it too
                continue
            label = source[int(i)]["label"]
            names.append(
                f"#{i}" if source.multi_label else find_class_name(source, label)
            )
        if not images:
            raise ConfigError(
                f"split {self.subject.split} must have readable images, got none; name "
                "image files instead"
            )
        return np.stack(images), names

    def read_example(self, source: sources.Source, index: int) -> np.ndarray:
        """Returns an image, resized and cropped for the model: uint8 [h, w, 3]."""
        example = source[index]
        pixels = decode(example["image"], name=example["name"])
        return crops.crop_eval(pixels, self.loaded.preprocessing)

    def list_class_names(self) -> list[str]:
        """Returns the names of the classes, by label."""
        source = self.logits.source
        return [find_class_name(source, i) for i in range(source.num_classes)]

    def find_mistakes(self, number: int = NUM_MISTAKES) -> list[Mistake]:
        """Returns the wrong predictions on the split, the most confident first."""
        found, names = self.logits, self.list_class_names()
        scores = np.asarray(compute_probabilities(self.loaded, found.values))
        answers, confidence = scores.argmax(axis=1), scores.max(axis=1)
        wrong = np.flatnonzero(answers != found.labels)
        worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:number]
        return [
            Mistake(
                image=self.read_example(found.source, int(found.indices[i])),
                name=str(found.source[int(found.indices[i])]["name"]),
                truth=names[found.labels[i]],
                answer=names[answers[i]],
                confidence=float(confidence[i]),
            )
            for i in worst
        ]

    def count_confusion(self) -> np.ndarray:
        """Returns the confusion matrix: int64 [y, y], rows true, columns predicted."""
        found = self.logits
        return classes.count_confusion(
            found.labels, found.values.argmax(axis=1), found.values.shape[1]
        )

    def measure_top_k(self, number: int) -> float:
        """Returns top-k accuracy: how often the class is among the best ``number``."""
        found = self.logits
        best = np.argsort(-found.values, axis=1, kind="stable")[:, :number]
        return float((best == found.labels[:, None]).any(axis=1).mean())

    def measure_reliability(self) -> dict[str, Any]:
        """Returns the bins of `evaluators.calibration.compute_reliability`."""
        scores = np.asarray(compute_probabilities(self.loaded, self.logits.values))
        is_right = scores.argmax(axis=1) == self.logits.labels
        return calibration.compute_reliability(scores.max(axis=1), is_right)
