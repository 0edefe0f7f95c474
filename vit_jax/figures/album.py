"""A checkpoint and its images, from which each kind of figure is drawn by name."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vit_jax.config import ConfigError
from vit_jax.data import crops, sources
from vit_jax.data.decode import decode
from vit_jax.evaluators import Subject, calibration, classes, collect, open_subject
from vit_jax.evaluators.subject import Collected, class_name
from vit_jax.figures import attention as looking
from vit_jax.figures import parameters
from vit_jax.figures.canvas import short
from vit_jax.figures.draw_attention import (
    draw_attention_distance,
    draw_attention_maps,
    draw_rollout,
)
from vit_jax.figures.draw_parameters import draw_filters, draw_position_similarity
from vit_jax.figures.draw_predictions import (
    draw_confusion,
    draw_mistakes,
    draw_reliability,
)
from vit_jax.figures.draw_run import draw_curves
from vit_jax.image_files import read_image
from vit_jax.load import Loaded
from vit_jax.metrics import read_metrics
from vit_jax.predict import probabilities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Named = Iterator[tuple[str, "Figure"]]  # the stem of a file name, and what is in it

NUM_SAMPLES = 8  # of the split, where no images are given
NUM_MAPS = 4  # of these, how many get attention maps of their own
NUM_FOR_DISTANCE = 128  # as in the paper
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
      loaded: of `vit_jax.load.load`.
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
        self._paths, self._source, self._split = paths, source, split
        self._name = short(loaded.name, 44)

    @functools.cached_property
    def subject(self) -> Subject:
        return open_subject(self.loaded, self._split, self._source)

    @functools.cached_property
    def logits(self) -> Collected:
        return collect(self.subject, "logits")

    @functools.cached_property
    def samples(self) -> tuple[np.ndarray, list[str]]:
        """Images, uint8 [n, h, w, 3], and their names: the files, or of the split."""
        if not self._paths:
            return self._of_split(NUM_SAMPLES)
        images, names = [], []
        for path in self._paths:
            try:
                images.append(read_image(path, self.loaded.preprocessing))
                names.append(Path(path).name)
            except ConfigError as error:
                self.errors[path] = str(error)
        if not images:
            raise ConfigError(next(iter(self.errors.values())))
        return np.stack(images), names

    def _of_split(self, number: int) -> tuple[np.ndarray, list[str]]:
        source = sources.make_source(self.subject.data, self.subject.split)
        images, names = [], []
        for i in np.unique(np.linspace(0, len(source) - 1, number).astype(int)):
            try:
                images.append(self.image(source, int(i)))
            except (ConfigError, OSError):  # evaluation leaves it out too
                continue
            label = source[int(i)]["label"]
            names.append(f"#{i}" if source.multi_label else class_name(source, label))
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
        return [class_name(source, i) for i in range(source.num_classes)]

    def mistakes(self, number: int = NUM_MISTAKES) -> list[Mistake]:
        """Returns the most confident mistakes on the split, the worst first."""
        found, names = self.logits, self.class_names()
        scores = np.asarray(probabilities(self.loaded, found.values))
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
        return classes.confusion(
            found.labels, found.values.argmax(axis=1), found.values.shape[1]
        )

    def reliability(self) -> dict:
        """Returns what `evaluators.calibration.reliability` does."""
        scores = np.asarray(probabilities(self.loaded, self.logits.values))
        is_right = scores.argmax(axis=1) == self.logits.labels
        return calibration.reliability(scores.max(axis=1), is_right)

    def draw(self, kind: str) -> Named:
        """Yields the figures of a kind, one of `KINDS`, with names for their files.

        Raises:
          ConfigError: the checkpoint does not have what the figure shows.
        """
        yield from KINDS[kind](self)

    def _attention(self) -> Named:
        images, names = self.samples
        number = len(images) if self._paths else NUM_MAPS
        for i, name in enumerate(names[:number]):
            found = looking.attention(self.loaded, images[i : i + 1])
            maps = looking.attention_maps(found)[:, 0]
            title = f"Attention by layer and head: {self._name}, {short(name)}"
            stem = f"attention-{i:02}-{Path(name).stem.replace(' ', '_')}"
            yield stem, draw_attention_maps(maps, images[i], title)

    def _rollout(self) -> Named:
        images, names = self.samples
        maps = [
            looking.rollout_maps(looking.attention(self.loaded, images[i : i + 1]))[0]
            for i in range(len(images))
        ]
        title = f"Attention rollout: {self._name}"
        yield "rollout", draw_rollout(np.stack(maps), images, names, title)

    def _distance(self) -> Named:
        number = NUM_FOR_DISTANCE
        images, _ = self.samples if self._paths else self._of_split(number)
        distance = looking.mean_attention_distance(self.loaded, images)
        size = self.loaded.preprocessing.image_size
        title = f"How far heads look: {self._name}"
        yield "distance", draw_attention_distance(distance, size, len(images), title)

    def _positions(self) -> Named:
        table = parameters.position_table(self.loaded)
        similarity = parameters.position_similarity(table)
        title = f"Position embeddings ({self.loaded.config.posemb}): {self._name}"
        yield "positions", draw_position_similarity(similarity, title)

    def _filters(self) -> Named:
        components, shares = parameters.filter_components(
            parameters.patch_kernel(self.loaded)
        )
        is_hybrid = self.loaded.config.family == "hybrid"
        what = "ResNet's root filters" if is_hybrid else "patch filters"
        title = f"What the first layer sees: {self._name}"
        yield "filters", draw_filters(components, shares, what, title)

    def _curves(self) -> Named:
        path = Path(self.loaded.name).expanduser() / "metrics.jsonl"
        if not path.exists():
            raise ConfigError(
                f"curves must come from a workdir with metrics.jsonl, got "
                f"{self.loaded.name}; give the workdir of a run"
            )
        yield "curves", draw_curves(read_metrics(path), f"Training: {self._name}")

    def _confusion(self) -> Named:
        title = f"Confusion: {self._name}, split {self.subject.split}"
        yield "confusion", draw_confusion(self.confusion(), self.class_names(), title)

    def _mistakes(self) -> Named:
        found = self.mistakes()
        captions = [
            f"{short(m.truth, 14)}, called {short(m.answer, 14)} ({m.confidence:.0%})"
            for m in found
        ]
        title = f"Most confident mistakes: {self._name}, split {self.subject.split}"
        images = np.array([m.image for m in found])
        yield "mistakes", draw_mistakes(images, captions, title)

    def _reliability(self) -> Named:
        title = f"Reliability: {self._name}, split {self.subject.split}"
        yield "reliability", draw_reliability(self.reliability(), title)


KINDS: dict[str, Callable[[Album], Named]] = {
    "attention": Album._attention,
    "rollout": Album._rollout,
    "distance": Album._distance,
    "positions": Album._positions,
    "filters": Album._filters,
    "curves": Album._curves,
    "confusion": Album._confusion,
    "mistakes": Album._mistakes,
    "reliability": Album._reliability,
}
