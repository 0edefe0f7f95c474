"""What `input.py` measures: photographs, our pipelines, and the original's anew."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data.loader import Batch, make_eval_batches, make_train_batches
from vit_jax.data.sources import make_source

NUM_IMAGES = 1024
BATCH = 128


def label(threads: int, workers: int) -> str:
    return f"{workers} processes" if workers else f"{threads} threads"


def write_photographs(folder: Path) -> None:
    """Writes ``FOLDER/train/{0,1}/*.jpg``."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    for i in range(NUM_IMAGES):
        photograph = photographs[i % 2]
        width, height = photograph.size
        scale = rng.uniform(0.7, 0.95)
        left, top = rng.uniform(0, 1 - scale, 2) * (width, height)
        box = (left, top, left + scale * width, top + scale * height)
        path = folder / "train" / str(i % 2) / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = photograph.resize((500, 375), Image.Resampling.BICUBIC, box)
        image.save(path, quality=90)


def our_pipelines(
    folder: str, crowd: list[tuple[int, int]]
) -> dict[str, Iterator[Batch]]:
    pipelines: dict[str, Iterator[Batch]] = {}
    for threads, workers in crowd:
        data, source = open_data(folder, threads, workers)
        name = label(threads, workers)
        pipelines[f"train, {name}"] = make_train_batches(source, data, seed=0)
        pipelines[f"eval, {name}"] = iter(make_eval_batches(Again(source), data))
    return pipelines


class Again:
    """A source many times over: an evaluation that does not end while it is timed."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.class_names, self.num_classes = source.class_names, source.num_classes
        self.multi_label, self.num_examples = False, 1000 * NUM_IMAGES

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._source[index % NUM_IMAGES]


def open_data(folder: str, threads: int, workers: int) -> tuple[DataConfig, Any]:
    data = DataConfig(source=folder, image_size=(224, 224), batch_size=BATCH)
    data = dataclasses.replace(data, num_threads=threads, num_workers=workers)
    return data, make_source(data, "train")


def tensorflow_pipelines(folder: str) -> dict[str, Iterator[Batch]]:
    """The original's steps: decode, crop, bilinear resize, flip, scale to [-1, 1]."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf  # pyright: ignore[reportMissingImports]

    def train(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), 3)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros([0, 0, 4]),
            area_range=(0.05, 1.0),
            min_object_covered=0,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.slice(image, begin, size)
        image.set_shape([None, None, 3])
        image = tf.image.resize(image, [224, 224])
        return (tf.image.random_flip_left_right(image) - 127.5) / 127.5

    def evaluation(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), 3)
        return (tf.image.resize(image, [224, 224]) - 127.5) / 127.5

    pipelines = {}
    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    for function, name in ((train, "train"), (evaluation, "eval")):
        images = (
            tf.data.Dataset.from_tensor_slices(paths)
            .repeat()
            .map(function, tf.data.AUTOTUNE)
            .batch(BATCH)
            .prefetch(2)
        )
        pipelines[f"{name}, tf.data"] = ({"image": batch} for batch in images)
    return pipelines
