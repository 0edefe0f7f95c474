"""Every published model's names and shapes: read whole, and written back."""

import gzip
import json

import jax
import numpy as np
import pytest

from tests.models.references import GOLDEN
from tests.models.tiny import OPTIONS, shapes
from vit_jax import models
from vit_jax.checkpoints.formats.google import renumber
from vit_jax.checkpoints.formats.huggingface_config import read_huggingface_config
from vit_jax.checkpoints.formats.huggingface_rules import ARCHITECTURES
from vit_jax.checkpoints.formats.huggingface_support import choose_architecture
from vit_jax.checkpoints.formats.timm_config import read_timm_config
from vit_jax.checkpoints.lazy import Lazy, Shape, make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig
from vit_jax.config.choices import FORMATS


def inventory(name: str) -> dict:
    with gzip.open(GOLDEN / "inventory" / f"{name}.json.gz") as file:
        return json.load(file)["models"]


TIMM, HUGGING_FACE = (
    inventory("timm_state_dicts"), inventory("huggingface_state_dicts")
)  # fmt: skip


def empty(shape: Shape) -> Lazy:
    """An array of this shape that takes no memory."""
    return make_lazy(np.broadcast_to(np.float32(0), tuple(shape)))


def shapes_of(tensors) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_whole(checkpoint: Checkpoint, total: int) -> None:
    assert sum(tensor.size for tensor in checkpoint.tensors.values()) == total
    assert checkpoint.model.hidden_size == checkpoint.tensors["head/kernel"].shape[0] \
        if "head/kernel" in checkpoint.tensors else True  # fmt: skip


@pytest.mark.parametrize("name", sorted(TIMM))
def test_timm(name: str) -> None:
    entry = TIMM[name]
    expected = {k: tuple(v[0]) for k, v in entry["params"].items()}
    tensors = {k: empty(v) for k, v in expected.items()}
    config = {"architecture": name, "pretrained_cfg": entry["pretrained_cfg"]}
    timm = FORMATS.resolve("timm")
    checkpoint = timm.read(tensors, read_timm_config(config, tensors), name)
    check_whole(checkpoint, entry["total"])
    assert shapes_of(timm.write(checkpoint)) == expected
    clip = "_clip_" in name
    assert checkpoint.model.layer_norm_epsilon == (1e-5 if clip else 1e-6)
    activations = {"SiLU()": "swiglu", "QuickGELU()": "quick_gelu"}
    if checkpoint.model.family != "mixer":
        theirs = activations.get(entry["mlp_activation"], "gelu")
        assert checkpoint.model.activation == theirs
    assert checkpoint.preprocessing is not None
    size = entry["pretrained_cfg"]["input_size"][1:]
    assert list(checkpoint.preprocessing.image_size) == list(size)


@pytest.mark.parametrize("name", sorted(HUGGING_FACE))
def test_huggingface(name: str) -> None:
    entry = HUGGING_FACE[name]
    expected = {k: tuple(v) for k, v in entry["on_disk"].items()}
    tensors = {k: empty(v) for k, v in expected.items()}
    huggingface = FORMATS.resolve("huggingface")
    assert huggingface.recognises(tensors)
    kind = next(k for k, a in ARCHITECTURES.items() if a.recognises(tensors))
    metadata = read_huggingface_config(entry["config"], {}, kind)
    checkpoint = huggingface.read(tensors, metadata, name)
    assert choose_architecture(checkpoint.model) == kind
    written = huggingface.write(checkpoint)
    dropped = {"dinov2.embeddings.mask_token", "classifier.weight", "classifier.bias"}
    if kind == "dinov2":  # its head is none of ours: the tower alone
        assert checkpoint.num_classes is None
        expected = {
            k.removeprefix("dinov2."): v
            for k, v in expected.items()
            if k not in dropped
        }
    assert shapes_of(written) == expected
    assert checkpoint.model.num_heads == entry["config"]["num_attention_heads"]
    in_memory = {k: empty(v[0]) for k, v in entry["params"].items()}
    again = huggingface.read(in_memory, metadata, name)
    assert shapes_of(again.tensors) == shapes_of(checkpoint.tensors)


def test_prelinen_names() -> None:
    """Renaming the inventory's linen names gives its pre-linen names, and back."""
    listed = inventory("prelinen_params")
    assert len(listed) == 4
    for name, entry in listed.items():
        expected = {k: tuple(v[0]) for k, v in (entry.get("params") or entry).items()}
        variant, _, rep = name.partition(" representation_size=")
        variant = variant.replace("ViT-B_16", "ViT-B/16")
        config = models.resolve_model(
            ModelConfig(
                variant=variant, representation_size=None if rep == "None" else int(rep)
            )
        )
        grid = (14, 14)
        ours = models.find_shapes(config, 21843, (224, 224))
        tree = {k: empty(v) for k, v in ours.items()}
        source = Checkpoint("vit_jax", tree, config, 21843, grid)
        prelinen = FORMATS.resolve("google_prelinen")
        assert shapes_of(prelinen.write(source)) == expected
        assert set(renumber(expected, name).values()) == set(ours)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("num_classes", [5, None])
def test_shapes_are_what_the_modules_make(name: str, num_classes: int | None) -> None:
    config = models.resolve_model(OPTIONS[name])
    expected = {k: v.shape for k, v in shapes(config, num_classes).items()}
    assert models.find_shapes(config, num_classes, (24, 24)) == expected


@pytest.mark.parametrize("variant", sorted(models.VARIANTS))
def test_shapes_of_every_variant(variant: str) -> None:
    config = models.resolve_model(ModelConfig(variant=variant))
    down, across = models.find_token_size(config)
    expected = shapes(config, 10, (1, 2 * down, 3 * across, 3))
    got = models.find_shapes(config, 10, (2 * down, 3 * across))
    assert got == {k: v.shape for k, v in expected.items()}
    assert all(isinstance(side, int) for shape in got.values() for side in shape)
    assert jax.tree.leaves(got)
