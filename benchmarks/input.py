"""Images per second of the input pipeline, beside the original's tf.data pipeline.

    python benchmarks/input.py                        # ours, and what its parts cost
    pip install tensorflow && python benchmarks/input.py --tensorflow
    python benchmarks/input.py --output benchmarks/results/input.json

1,024 JPEG files of 500x375 pixels, quality 90, are cut from two photographs that come
with scikit-learn. Each pipeline reads all of them twice; the second pass is timed.
CPU seconds are the honest figure on a machine that does other things as well.
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from vit_jax.config import DataConfig
from vit_jax.data import crops, jpeg
from vit_jax.data.loader import Batch, eval_batches, train_batches
from vit_jax.data.sources import make_source

NUM_IMAGES = 1024
BATCH = 128


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
        results = measure_ours(folder, arguments.threads)
        results |= {"parts_us": measure_parts(folder)}
        if arguments.tensorflow:
            results |= measure_tensorflow(folder)
    results |= {
        "memory_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {
            name: metadata.version(name)
            for name in ("grain", "simplejpeg", "opencv-python-headless", "numpy")
        },
        "command": "python benchmarks/input.py"
        + (" --tensorflow" if arguments.tensorflow else ""),
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


def rate(batches: Iterable[Batch], steps: int) -> dict[str, float]:
    """Returns images per second of wall time and of CPU time."""
    iterator: Iterator[Batch] = iter(batches)
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    for _ in range(steps):
        count += len(next(iterator)["image"])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"images_per_s": round(count / wall), "per_cpu_s": round(count / cpu)}


def measure_ours(folder: str, threads: list[int]) -> dict[str, object]:
    data = DataConfig(source=folder, image_size=(224, 224), batch_size=BATCH)
    source = make_source(data, "train")
    results = {}
    for num_threads in threads:
        data = dataclasses.replace(data, num_threads=num_threads)
        train = train_batches(source, data, seed=0)
        steps = NUM_IMAGES // BATCH
        for batches, name in ((train, "train"), (eval_batches(source, data), "eval")):
            rate(batches, steps)
            results[f"{name}, {num_threads} threads"] = rate(batches, steps)
        train.close()
    return results


def measure_parts(folder: str) -> dict[str, float]:
    """Returns microseconds of CPU per image: their sum predicts the rate."""
    paths = sorted(Path(folder).rglob("*.jpg"))[:256]
    files = [path.read_bytes() for path in paths]
    rng = np.random.default_rng(0)
    boxes = iter([crops.sample_box(rng, (375, 500)) for _ in range(5 * 256)])
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


def measure_tensorflow(folder: str) -> dict[str, object]:
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

    results = {}
    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    for function, name in ((train, "train"), (evaluation, "eval")):
        images = (
            tf.data.Dataset.from_tensor_slices(paths)
            .repeat(2)
            .map(function, tf.data.AUTOTUNE)
            .batch(BATCH)
            .prefetch(2)
        )
        iterator = ({"image": batch} for batch in images)
        rate(iterator, NUM_IMAGES // BATCH)
        results[f"tf.data {name}"] = rate(iterator, NUM_IMAGES // BATCH)
    return results


if __name__ == "__main__":
    main()
