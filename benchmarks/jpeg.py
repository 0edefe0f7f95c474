"""What it costs to decode the crop of a JPEG, by each library that can.

    pip install -e ".[jpeg]"
    python benchmarks/jpeg.py --output benchmarks/results/jpeg.json

Inception crops of photographs of 500x375 pixels, shrunk by the decoder where they have
twice the 224 pixels needed. The ways take turns; compared are CPU seconds of the same
turn, as a ratio to the extra `jpeg`. PyTurboJPEG, the maintained wrapper of the same
library, has no call that decodes a region; it is not in the comparison.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from input_pipelines import write_photographs

from vit_jax.data.images import crops, jpeg, turbojpeg

IMAGES = 64
SIZE = (375, 500)
PACKAGES = ("turbojpeg", "simplejpeg", "opencv-python-headless")
Decode = Callable[[bytes, jpeg.Box], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of decoding a crop.")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    if turbojpeg.find_decoder() is None:
        parser.error("this needs libturbojpeg; run: pip install -e '.[jpeg]'")
    ways: dict[str, Decode] = {
        "extra jpeg: the crop alone": decode_crop,
        "simplejpeg: rows down to the crop": decode_crop,
        "simplejpeg: all, then crop": decode_all,
        "OpenCV: all, reduced, then crop": decode_by_opencv,
    }
    files = read_files()
    rng = np.random.default_rng(0)
    boxes = [crops.sample_box(rng, SIZE) for _ in range(arguments.turns * IMAGES)]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for start in range(0, len(boxes), IMAGES):
        part = boxes[start : start + IMAGES]
        for name, decode in ways.items():
            found = turbojpeg.find_decoder if "extra" in name else lambda: None
            with mock.patch.object(turbojpeg, "find_decoder", found):
                seconds[name].append(measure(decode, files, part))
    results = summarize(seconds)
    results |= {
        "turns": arguments.turns,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "command": f"python benchmarks/jpeg.py --turns={arguments.turns}",
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def read_files() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        paths = sorted(Path(folder).rglob("*.jpg"))[:IMAGES]
        return [path.read_bytes() for path in paths]


def measure(decode: Decode, files: list[bytes], boxes: list[jpeg.Box]) -> float:
    """Returns microseconds of CPU for each image."""
    start = time.process_time()
    for data, box in zip(files, boxes, strict=True):
        decode(data, box)
    return (time.process_time() - start) / len(files) * 1e6


def summarize(seconds: dict[str, list[float]]) -> dict[str, Any]:
    first = next(iter(seconds.values()))
    table = {}
    for name, turns in seconds.items():
        ratios = [a / b for a, b in zip(turns, first, strict=True)]
        quartiles = np.quantile(ratios, [0.25, 0.5, 0.75])
        table[name] = {
            "us_per_image": round(float(np.median(turns)), 1),
            "times_the_extra": [round(float(value), 3) for value in quartiles],
        }
    return table


def decode_crop(data: bytes, box: jpeg.Box) -> np.ndarray:
    pixels = jpeg.decode_box(data, lambda size: box, (224, 224))
    assert pixels is not None
    return pixels


def decode_all(data: bytes, box: jpeg.Box) -> np.ndarray:
    pixels = jpeg.decode(data)
    assert pixels is not None
    top, left, height, width = box
    return pixels[top : top + height, left : left + width]


def decode_by_opencv(data: bytes, box: jpeg.Box) -> np.ndarray:
    cv2 = crops.load_cv2()
    shrink = jpeg.find_shrink_factor(box, (224, 224))
    flag = {
        1: cv2.IMREAD_COLOR_RGB,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[shrink]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    top, left, height, width = (value // shrink for value in box)
    return pixels[top : top + height, left : left + width]


if __name__ == "__main__":
    main()
