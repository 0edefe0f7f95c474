"""Each kind of figure by name, drawn from an album."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vit_jax.config.choices import FIGURES
from vit_jax.errors import ConfigError
from vit_jax.figures import looking, parameters
from vit_jax.figures.album import Album
from vit_jax.figures.canvas import shorten
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
from vit_jax.storage import bucket
from vit_jax.training.metrics import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Named = Iterator[tuple[str, "Figure"]]  # the stem of a file name, and what is in it

NUM_MAPS = 4  # samples that get attention maps of their own, where no files are given
NUM_FOR_DISTANCE = 128  # as in the paper


def draw_kind(album: Album, kind: str) -> Named:
    """Yields the figures of a kind, a row of `FIGURES`, with names for their files.

    Raises:
      ConfigError: the checkpoint does not have what the figure shows.
    """
    yield from FIGURES.resolve(kind)(album)


def show_attention(album: Album) -> Named:
    images, names = album.samples
    number = len(images) if album.paths else NUM_MAPS
    for i, name in enumerate(names[:number]):
        found = looking.compute_attention(album.loaded, images[i : i + 1])
        maps = looking.compute_attention_maps(found)[:, 0]
        title = f"Attention by layer and head: {album.name}, {shorten(name)}"
        stem = f"attention-{i:02}-{Path(name).stem.replace(' ', '_')}"
        yield stem, draw_attention_maps(maps, images[i], title)


def show_rollout(album: Album) -> Named:
    images, names = album.samples
    maps = [
        looking.compute_rollout_maps(
            looking.compute_attention(album.loaded, images[i : i + 1])
        )[0]
        for i in range(len(images))
    ]
    title = f"Attention rollout: {album.name}"
    yield "rollout", draw_rollout(np.stack(maps), images, names, title)


def show_distance(album: Album) -> Named:
    number = NUM_FOR_DISTANCE
    images, _ = album.samples if album.paths else album.of_split(number)
    distance = looking.compute_mean_attention_distance(album.loaded, images)
    size = album.loaded.preprocessing.image_size
    title = f"How far heads look: {album.name}"
    yield "distance", draw_attention_distance(distance, size, len(images), title)


def show_positions(album: Album) -> Named:
    table = parameters.get_position_table(album.loaded)
    similarity = parameters.compute_position_similarity(table)
    title = f"Position embeddings ({album.loaded.config.posemb}): {album.name}"
    yield "positions", draw_position_similarity(similarity, title)


def show_filters(album: Album) -> Named:
    components, shares = parameters.compute_filter_components(
        parameters.get_patch_kernel(album.loaded)
    )
    is_hybrid = album.loaded.config.family == "hybrid"
    what = "ResNet's root filters" if is_hybrid else "patch filters"
    title = f"What the first layer sees: {album.name}"
    yield "filters", draw_filters(components, shares, what, title)


def show_curves(album: Album) -> Named:
    path = bucket.find_location(album.loaded.name) / "metrics.jsonl"
    if not path.exists():
        raise ConfigError(
            f"curves must come from a workdir with metrics.jsonl, got "
            f"{album.loaded.name}; give the workdir of a run"
        )
    yield "curves", draw_curves(read_metrics(path), f"Training: {album.name}")


def show_confusion(album: Album) -> Named:
    title = f"Confusion: {album.name}, split {album.subject.split}"
    yield "confusion", draw_confusion(album.confusion(), album.class_names(), title)


def show_mistakes(album: Album) -> Named:
    found = album.mistakes()
    captions = [
        f"{shorten(m.truth, 14)}, called {shorten(m.answer, 14)} ({m.confidence:.0%})"
        for m in found
    ]
    title = f"Most confident mistakes: {album.name}, split {album.subject.split}"
    images = np.array([m.image for m in found])
    yield "mistakes", draw_mistakes(images, captions, title)


def show_reliability(album: Album) -> Named:
    title = f"Reliability: {album.name}, split {album.subject.split}"
    yield "reliability", draw_reliability(album.reliability(), title)
