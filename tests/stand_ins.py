"""What is not here, small and at once: published models and data, a bucket, a TPU.

All of it has its own name, and is looked up as ever.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import io
import math
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from configs.datasets import DATASETS
from vit_jax import checkpoints, models, weights
from vit_jax.config import ModelConfig
from vit_jax.data.sources.array_records import write_dataset
from vit_jax.data.sources.digits import load_arrays
from vit_jax.plan.topology import name_devices
from vit_jax.weights import locations
from vit_jax.weights.class_names import read_synsets

SMALL = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32,
         "tokens_mlp_dim": 8}  # fmt: skip
TFDS = ("cifar10", "cifar100", "imagenet2012", "oxford_iiit_pet", "oxford_flowers102")


def small_models() -> Any:
    """Makes each published model a small one, under its name, as long as it is open."""
    return mock.patch.dict(
        models.VARIANTS, {name: _small(row) for name, row in models.VARIANTS.items()}
    )


def _small(row: ModelConfig) -> ModelConfig:
    sizes: Any = {name: size for name, size in SMALL.items() if getattr(row, name)}
    if row.resnet_layers:  # the root alone, and as many pixels in a token
        down, across = models.find_token_size(row)
        sizes |= {"resnet_layers": (), "patch_size": (down // 4, across // 4)}
    return dataclasses.replace(row, **sizes)


@contextlib.contextmanager
def one_device() -> Iterator[None]:
    """Hides all devices but the first, as long as it is open: a laptop has no more."""
    first = jax.local_devices()[:1]
    with (
        mock.patch.object(jax, "devices", return_value=first),
        mock.patch.object(jax, "local_devices", return_value=first),
    ):
        yield


def put_weights(url: str, path: Path, **_: Any) -> None:
    """Stands for a download: random weights, in the format that lies at ``url``."""
    known = weights.describe_published(url)
    assert known.model
    assert known.preprocessing
    model = models.resolve_model(known.model)
    rng = np.random.default_rng(0)
    tensors = {
        name: checkpoints.make_lazy(rng.normal(0, 0.02, shape).astype(np.float32))
        for name, shape in models.find_shapes(
            model, known.num_classes, known.preprocessing.image_size
        ).items()
    }
    other = "timm" if "timm/" in url else "huggingface"
    form = "google_prelinen" if path.suffix == ".npz" else other
    path.parent.mkdir(parents=True, exist_ok=True)
    source = checkpoints.Checkpoint("vit_jax", tensors, model, known.num_classes)
    checkpoints.write_checkpoint(path, form, source)


def put_hub_weights(location: weights.Location, *_: Any, **__: Any) -> Path:
    """Stands for a download from the Hub."""
    path = cache() / locations.make_relative_path(location)
    if not path.exists():
        put_weights(location.url, path)
    return path


@functools.cache
def cache() -> Path:
    """Returns a folder for what is downloaded or prepared, once a process."""
    return Path(tempfile.mkdtemp())


def digit(index: int) -> bytes:
    """Returns one of the digits as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(load_arrays()[0][index]).convert("RGB").save(file, "PNG")
    return file.getvalue()


@functools.cache
def tfds_folder() -> Path:
    """Returns data sets under the names, versions and splits that TFDS has."""
    import tensorflow_datasets as tfds

    root = Path(tempfile.mkdtemp())
    for name in TFDS:
        preset, version = DATASETS[name], str(tfds.builder_cls(name).VERSION)
        split = preset["data"].get("eval_split", "test")
        folder = root / name / version
        folder.mkdir(parents=True)
        write_dataset(
            folder,
            {
                part: (size, _examples(size, preset["num_classes"]))
                for part, size in (("train", 24), (split, 8))
            },
            class_names=[f"class {i}" for i in range(preset["num_classes"])],
        )
    return root


def _examples(count: int, num_classes: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"image": io.BytesIO(digit(i)), "label": i % num_classes}


@functools.cache
def imagenet() -> Path:
    """Returns a folder with an image of each class of ImageNet."""
    root = Path(tempfile.mkdtemp())
    for name in read_synsets("imagenet1k"):
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "1.png").write_bytes(digit(0))
    return root


def stand_in(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """Makes ``here`` the folder that one works in, and the whole of the network."""
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here / "home"))
    monkeypatch.setenv("VIT_JAX_CACHE", str(cache()))
    data_dir = str(here / "home" / "tensorflow_datasets")
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", data_dir)
    for name in ("TFDS_DATA_DIR", "VIT_JAX_WEIGHTS", "VIT_JAX_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("vit_jax.weights.files.find_in_hub_cache", lambda *_: None)
    monkeypatch.setattr("vit_jax.weights.files.download", put_weights)
    monkeypatch.setattr("vit_jax.weights.files.download_from_hub", put_hub_weights)
    monkeypatch.setattr("vit_jax.checkpoints.loaded._BATCH_SIZE", 8)
    if not importlib.util.find_spec("tensorflow"):
        found = types.SimpleNamespace(import_module=lambda _: None)
        monkeypatch.setattr("vit_jax.data.sources.tfds.importlib", found)
    if not importlib.util.find_spec("libtpu"):
        monkeypatch.setattr("vit_jax.plan.estimate.describe_tpu", _named_tpu)


def _named_tpu(topology: str) -> Any:
    """Stands for libtpu, where nothing is compiled."""
    chip, _, sides = topology.partition(":")
    return name_devices(chip, math.prod(map(int, sides.split("x"))))


def stand_in_for_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets gs://PLACE and https://PLACE be the folder remote/PLACE."""
    registry: Any = pytest.importorskip("fsspec.registry", reason="extra remote")
    from fsspec.implementations.local import LocalFileSystem

    class Remote(LocalFileSystem):
        protocol = ("gs", "https")

        @classmethod
        def _strip_protocol(cls, path: Any) -> Any:
            _, is_url, place = str(path).partition("://")
            return super()._strip_protocol(f"remote/{place}" if is_url else path)

    for scheme in Remote.protocol:
        monkeypatch.setitem(registry._registry, scheme, Remote)
