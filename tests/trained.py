"""A finished tiny run, golden checkpoints and their images as files, shared by tests."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import GOLDEN
from tests.runs import TINY, change
from vit_jax.checkpoints.load import load
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.training.loop import train


@functools.cache
def tiny_run() -> Path:
    """Trains once a process; a token classifier, so that everything is there."""
    workdir = Path(tempfile.mkdtemp()) / "tiny"
    train(change(TINY, data={"eval_split": "test[:64]"}), workdir)
    return workdir


@functools.cache
def golden_model(name: str) -> Loaded:
    """A checkpoint of the original or, with a slash, of another implementation."""
    folder, _, case = f"google_vit/{name}".rpartition("/")
    if "/" in name:
        folder, case = name.split("/")
        return load(GOLDEN / folder / f"{case}.npz")
    return load(GOLDEN / folder / f"{case}.linen.npz")


def golden_io(name: str) -> dict[str, np.ndarray]:
    path = name if "/" in name else f"google_vit/{name}"
    with np.load(GOLDEN / f"{path}.io.npz") as arrays:
        return dict(arrays)


def golden_case(name: str) -> dict:
    return json.loads((GOLDEN / "google_vit" / f"{name}.json").read_text())


def golden_pixels(name: str) -> np.ndarray:
    """The images of a case as they were before they were scaled: uint8 [b, h, w, 3]."""
    pixels = (golden_io(name)["images"] + 1) * 127.5
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    return pixels.round().astype(np.uint8)


def write_images(name: str, folder: Path) -> list[str]:
    """Writes a case's images as PNG files."""
    paths = [folder / f"{i}.png" for i in range(len(golden_pixels(name)))]
    for path, pixels in zip(paths, golden_pixels(name), strict=True):
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]
