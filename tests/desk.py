"""The folder in which a reader of the documents works: a clone, photos, runs."""

import functools
import io
import itertools
import shutil
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from tests.shell import ROOT
from tests.stand_ins import (
    TFDS,
    digit,
    imagenet,
    one_device,
    put_weights,
    small_models,
    tfds_folder,
)
from vit_jax.config.file import load_config
from vit_jax.data.export import export_images
from vit_jax.training.loop import train

FILES = {"ViT-B_16.npz": "imagenet21k/ViT-B_16", "Ti_16.npz": "augreg/Ti_16"}
SMALL_BATCH = ["--config.data.batch_size=8", "--config.train.accum_steps=1"]
RUNS = {  # name -> its recipe, made shorter
    "digits": ("digits.py", ["--config.train.total_steps=20"]),
    "vit_b16": ("vit_b16.py:folder", ["--config.train.total_steps=1", *SMALL_BATCH]),
}


@functools.cache
def run(name: str) -> Path:
    """Returns a run that the documents speak of: of its recipe, on ``flowers``."""
    recipe, overrides = RUNS[name]
    flowers = Path(tempfile.mkdtemp()) / "flowers"
    if recipe.endswith("folder"):
        export_images("digits", flowers, "train[:80]")
        overrides = [*overrides, f"--config.data.source=folder:{flowers}"]
    workdir = Path(tempfile.mkdtemp()) / name
    with small_models(), one_device():
        train(load_config(f"configs/{recipe}", overrides), workdir)
    return workdir


def lay_clone(here: Path) -> None:
    """Makes a folder look like a clone of this repository."""
    for name in ("configs", "Makefile", "pyproject.toml", "constraints.txt"):
        (here / name).symlink_to(ROOT / name)


def lay_desk(here: Path, text: str) -> None:
    """Puts into a folder what ``text`` speaks of: in a clone, with data and photos."""
    lay_clone(here)
    for name in ("photo.jpg", "photo.png", "seven.png", "folder/1.png", "scans/1.jpg",
                 "scans/1.png", "new_photos/1.jpg"):  # fmt: skip
        (here / name).parent.mkdir(exist_ok=True)
        Image.open(io.BytesIO(digit(7))).resize((60, 40)).save(here / name)
    export_images("digits", here / "flowers", "train[:80]")
    export_images("digits", here / "DIR", "train[:30]")
    for name in ("images", "remote/bucket/flowers", "remote/bucket/images"):
        shutil.copytree(here / "DIR", here / name)
    paths = sorted((here / "flowers").rglob("*.png"))
    rows = [f"{path.relative_to(here)},{path.parent.name}|odd" for path in paths]
    (here / "labels.csv").write_text("\n".join(["image,labels", *rows]))
    if "train-{0000..0127}.tar" in text:
        (here / "remote" / "host").mkdir(parents=True)
        for i, path in zip(range(128), itertools.cycle(paths), strict=False):
            with tarfile.open(here / "remote" / "host" / f"train-{i:04}.tar", "w") as t:
                t.add(path, f"{path.parent.name}/{i}.png")
    if "IMAGENET" in text or "folder:imagenet" in text:
        for name in ("IMAGENET", "imagenet"):
            (here / name).symlink_to(imagenet())
    for folder in ("tensorflow_datasets", "data/tfds"):
        (here / "home" / folder).mkdir(parents=True)
        for name in TFDS:
            (here / "home" / folder / name).symlink_to(tfds_folder() / name)
    for name in RUNS:
        if f"runs/{name}" in text:
            shutil.copytree(run(name), here / "runs" / name)
    with small_models():
        for file, name in FILES.items():
            if file in text:
                put_weights(name, here / file)
