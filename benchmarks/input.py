"""Images per second of the input pipeline, beside the original's tf.data pipeline.

    python benchmarks/input.py --threads 1 2 --workers 1 2
    pip install tensorflow && python benchmarks/input.py --tensorflow \\
        --output benchmarks/results/input.json

1,024 JPEG files of 500x375 pixels, quality 90, are cut from two photographs that come
with scikit-learn. The pipelines take turns at reading all of them, a worker process
with one thread each. What is compared is CPU seconds, of all threads and processes, in
the same turn: wall time says more about what else the machine does. The sum of what the
parts cost on their own predicts the rate. Memory is that of a pipeline in a process of
its own, worker processes included, after 8 and after 40 batches.
"""

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from input_pipelines import (
    BATCH,
    NUM_IMAGES,
    label,
    open_data,
    our_pipelines,
    tensorflow_pipelines,
    write_photographs,
)

from vit_jax.data.images import crops, jpeg, turbojpeg
from vit_jax.data.loader import Batch, make_train_batches
from vit_jax.data.order import Order

AHEAD = 3  # batches that a pipeline has ready
PACKAGES = ("grain", "simplejpeg", "opencv-python-headless", "numpy")


def main() -> None:
    arguments = parse()
    if arguments.cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cpus])
    crowd = [*((n, 0) for n in arguments.threads), *((1, n) for n in arguments.workers)]
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        parts = measure_parts(folder)  # before threads of the pipelines are at work
        memory = {label(*each): measure_memory(folder, *each) for each in crowd}
        pipelines = our_pipelines(folder, crowd)
        if arguments.tensorflow:
            pipelines |= tensorflow_pipelines(folder)
        turns = measure(pipelines, arguments.turns)
    results: dict[str, Any] = {
        name: {
            key: round(float(np.median([turn[key] for turn in each])))
            for key in ("images_per_s", "per_cpu_s")
        }
        for name, each in turns.items()
    }
    if arguments.tensorflow:
        results["times_tf_data_per_cpu_s"] = compare(turns)
    results |= {
        "parts_us": parts,
        "predicted_per_cpu_s": predict(parts),
        "memory_mb": memory,
        "turns": arguments.turns,
        "device": f"{platform.machine()}, {len(os.sched_getaffinity(0))} CPUs",
        "load_average": round(os.getloadavg()[0], 1),
        "turbojpeg": turbojpeg.find_decoder() is not None,
        "versions": {
            name: metadata.version(name)
            for name in (*PACKAGES, *(["tensorflow"] if arguments.tensorflow else []))
        },
        "command": f"python benchmarks/input.py {' '.join(sys.argv[1:])}",
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Images per second of the input pipeline."
    )
    parser.add_argument(
        "--tensorflow", action="store_true", help="compare with tf.data"
    )
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--cpus", type=int, help="CPUs that may be used; default: all")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def measure(
    pipelines: dict[str, Iterator[Batch]], turns: int
) -> dict[str, list[dict[str, float]]]:
    """Returns the rates of each pipeline in every turn but the first, which starts
    threads and fills caches. They take turns, for the machine's speed changes."""
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in pipelines}
    for turn in range(turns + 1):
        for name, batches in pipelines.items():
            new = rate(batches, NUM_IMAGES // BATCH)
            if turn:
                rates[name].append(new)
    return rates


def compare(turns: dict[str, list[dict[str, float]]]) -> dict[str, list[float]]:
    """Returns quartiles of ours over tf.data's images per CPU second, turn by turn."""
    ratios = {}
    for name, ours in turns.items():
        theirs = turns[f"{name.partition(',')[0]}, tf.data"]
        if ours is not theirs:
            values = [
                a["per_cpu_s"] / b["per_cpu_s"]
                for a, b in zip(ours, theirs, strict=True)
            ]
            quartiles = np.quantile(values, [0.25, 0.5, 0.75])
            ratios[name] = [round(float(value), 3) for value in quartiles]
    return ratios


def rate(batches: Iterator[Batch], steps: int) -> dict[str, float]:
    """Returns images per second of wall time and of CPU time, worker processes' too.

    What is ready is drawn before the wall clock starts. CPU time goes from full queues to
    full queues, so that it is that of as many images as are drawn.
    """
    cpu = settle()
    for _ in range(AHEAD):
        next(batches)
    wall = time.perf_counter()
    for _ in range(steps):
        next(batches)
    wall, cpu = time.perf_counter() - wall, settle() - cpu
    return {
        "images_per_s": steps * BATCH / wall,
        "per_cpu_s": (AHEAD + steps) * BATCH / cpu,
    }


def settle() -> float:
    """Waits until nothing is read ahead any more; returns the CPU time by then."""
    last = cpu_seconds()
    while True:
        time.sleep(0.4)
        now = cpu_seconds()
        if now - last < 0.02:
            return now
        last = now


def cpu_seconds() -> float:
    """Returns the CPU time of this process and of its children."""
    import psutil

    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def measure_memory(folder: str, threads: int, workers: int) -> dict[str, int]:
    """Returns megabytes, as ``_memory`` does, of a fresh process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_memory, folder, threads, workers).result()


def _memory(folder: str, threads: int, workers: int) -> dict[str, int]:
    import psutil

    def megabytes() -> int:
        process = psutil.Process()
        family = (process, *process.children(recursive=True))
        return sum(each.memory_info().rss for each in family) >> 20

    data, source = open_data(folder, threads, workers)
    sizes = {"imports": megabytes()}
    batches = make_train_batches(source, data, seed=0)
    for count, step in ((8, 8), (40, 32)):
        for _ in range(step):
            next(batches)
        sizes[f"after {count} batches"] = megabytes()
    batches.close()
    return sizes


def measure_parts(folder: str) -> dict[str, float]:
    """Returns microseconds of CPU per image: their sum predicts the rate."""
    paths = sorted(Path(folder).rglob("*.jpg"))[:32]
    files = [path.read_bytes() for path in paths]
    rng = np.random.default_rng(0)
    boxes = itertools.cycle([crops.sample_box(rng, (375, 500)) for _ in range(5 * 32)])
    whole = jpeg.decode_jpeg(files[0])
    assert whole is not None
    image = crops.resize(whole, (224, 224), "bilinear")
    part = whole[:260, :290]

    def decode_all(data: bytes) -> object:
        return jpeg.decode_jpeg_box(data, lambda size: (0, 0, *size), None)

    def decode_part(data: bytes) -> object:
        box = next(boxes)
        return jpeg.decode_jpeg_box(data, lambda size: box, (224, 224))

    def without_library(data: bytes) -> object:
        saved, turbojpeg.find_decoder = turbojpeg.find_decoder, lambda: None
        try:
            return decode_part(data)
        finally:
            turbojpeg.find_decoder = saved

    order, words = Order(NUM_IMAGES, 1), np.zeros(2, np.uint64)

    def draw(position: int) -> object:
        generator = np.random.Philox(key=words, counter=[0, 0, 0, order(position)])
        return crops.sample_box(np.random.Generator(generator), (375, 500))

    return {
        "read the file": cost(files_of_source(folder), list(range(32))),
        "draw place and crop (training)": cost(draw, list(range(32))),
        "decode all of it (evaluation)": cost(decode_all, files),
        "decode down to the crop (training)": cost(decode_part, files),
        "the same without libturbojpeg": cost(without_library, files),
        "resize all of it (evaluation)": cost(
            lambda _: crops.resize(whole, (224, 224), "bilinear", image), files
        ),
        "resize a crop (training)": cost(
            lambda _: crops.resize(part, (224, 224), "bilinear", image), files
        ),
    }


def files_of_source(folder: str) -> Callable[[int], object]:
    return open_data(folder, 1, 0)[1].__getitem__


def predict(parts: dict[str, float]) -> dict[str, Any]:
    """Returns images per CPU second if the parts were all, and what limits them."""
    predictions = {}
    for kind, other in (("training", "evaluation"), ("evaluation", "training")):
        used = {
            name: value
            for name, value in parts.items()
            if f"({other})" not in name and "without" not in name
        }
        limit = max(used, key=lambda name: used[name])
        predictions[kind] = {
            "per_cpu_s": round(1e6 / sum(used.values())),
            "limit": limit,
            "share": round(used[limit] / sum(used.values()), 2),
        }
    return predictions


def cost(function: Callable[..., object], values: list) -> float:
    """Returns the least of five mean CPU times, in microseconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for value in values:
            function(value)
        times.append((time.process_time() - start) / len(values) * 1e6)
    return round(min(times), 1)


if __name__ == "__main__":
    main()
