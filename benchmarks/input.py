"""Images per second of the input pipeline, beside the original's tf.data pipeline.

    python benchmarks/input.py                        # ours, and what its parts cost
    pip install tensorflow && python benchmarks/input.py --tensorflow --cpus=1
    python benchmarks/input.py --output benchmarks/results/input.json

1,024 JPEG files of 500x375 pixels, quality 90, are cut from two photographs that come
with scikit-learn. The pipelines take turns at reading all of them; the best turn of
each counts. CPU seconds are the honest figure on a machine that does other things too.
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data import crops, jpeg, turbojpeg
from vit_jax.data.loader import Batch, eval_batches, train_batches
from vit_jax.data.sources import make_source

NUM_IMAGES = 1024
BATCH = 128
TURNS = 5
AHEAD = 3  # batches that a pipeline has ready


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Images per second of the input pipeline."
    )
    parser.add_argument(
        "--tensorflow", action="store_true", help="compare with tf.data"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument("--cpus", type=int, help="CPUs that may be used; default: all")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    if arguments.cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cpus])
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        parts = measure_parts(folder)  # before threads of the pipelines are at work
        pipelines = our_pipelines(folder, arguments.threads, arguments.workers)
        if arguments.tensorflow:
            pipelines |= tensorflow_pipelines(folder)
        results: dict[str, Any] = measure(pipelines)
        results["parts_us"] = parts
    results |= {
        "memory_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "device": f"{platform.machine()}, {len(os.sched_getaffinity(0))} CPUs",
        "turbojpeg": turbojpeg.decoder() is not None,
        "versions": {
            name: metadata.version(name)
            for name in (
                "grain",
                "simplejpeg",
                "opencv-python-headless",
                "numpy",
                *(["tensorflow"] if arguments.tensorflow else []),
            )
        },
        "command": f"python benchmarks/input.py {' '.join(sys.argv[1:])}",
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


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


def measure(pipelines: dict[str, Iterator[Batch]]) -> dict[str, Any]:
    """Returns the best of several turns of each; they take turns, for the machine's
    speed changes from second to second."""
    results: dict[str, Any] = {}
    for turn in range(TURNS + 1):
        for name, batches in pipelines.items():
            new = rate(batches, NUM_IMAGES // BATCH)
            if turn:  # the first starts threads and fills caches
                best = results.setdefault(name, new)
                results[name] = {key: max(best[key], new[key]) for key in new}
    return results


def rate(batches: Iterator[Batch], steps: int) -> dict[str, float]:
    """Returns images per second of wall time and of CPU time, worker processes' too.

    The one before is given time to fill its queues, and this one's are drained first.
    """
    time.sleep(1)
    for _ in range(AHEAD):
        next(batches)
    wall, cpu, count = time.perf_counter(), cpu_seconds(), 0
    for _ in range(steps):
        count += len(next(batches)["image"])
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {"images_per_s": round(count / wall), "per_cpu_s": round(count / cpu)}


def cpu_seconds() -> float:
    """Returns the CPU time of this process and of its children."""
    import psutil

    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def our_pipelines(
    folder: str, threads: list[int], workers: list[int]
) -> dict[str, Iterator[Batch]]:
    data = DataConfig(source=folder, image_size=(224, 224), batch_size=BATCH)
    source = make_source(data, "train")
    pipelines: dict[str, Iterator[Batch]] = {}
    for num_threads, num_workers in [
        *((n, 0) for n in threads),
        *((1, n) for n in workers),
    ]:
        data = dataclasses.replace(
            data, num_threads=num_threads, num_workers=num_workers
        )
        name = f"{num_workers} processes" if num_workers else f"{num_threads} threads"
        pipelines[f"train, {name}"] = train_batches(source, data, seed=0)
        pipelines[f"eval, {name}"] = repeat(eval_batches(source, data))
    return pipelines


def repeat(batches: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        yield from batches


def measure_parts(folder: str) -> dict[str, float]:
    """Returns microseconds of CPU per image: their sum predicts the rate."""
    paths = sorted(Path(folder).rglob("*.jpg"))[:32]
    files = [path.read_bytes() for path in paths]
    rng = np.random.default_rng(0)
    boxes = iter([crops.sample_box(rng, (375, 500)) for _ in range(5 * 32)])
    whole = jpeg.decode(files[0])
    assert whole is not None
    image = crops.resize(whole, (224, 224), "bilinear")
    part = whole[:260, :290]

    def decode_all(data: bytes) -> object:
        return jpeg.decode_box(data, lambda size: (0, 0, *size), None)

    def decode_part(data: bytes) -> object:
        box = next(boxes)
        return jpeg.decode_box(data, lambda size: box, (224, 224))

    return {
        "read the file": cost(Path.read_bytes, paths),
        "decode all of it (evaluation)": cost(decode_all, files),
        "decode down to the crop (training)": cost(decode_part, files),
        "resize all of it": cost(
            lambda _: crops.resize(whole, (224, 224), "bilinear"), files
        ),
        "resize a crop": cost(
            lambda _: crops.resize(part, (224, 224), "bilinear"), files
        ),
        "copy into the batch": cost(lambda _: np.stack([image] * 16), files[:16]) / 8,
    }


def cost(function: Callable[..., object], values: list) -> float:
    """Returns the least of five mean CPU times, in microseconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for value in values:
            function(value)
        times.append((time.process_time() - start) / len(values) * 1e6)
    return round(min(times), 1)


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


if __name__ == "__main__":
    main()
