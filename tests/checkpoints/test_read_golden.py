"""Every golden checkpoint is read as the reference reads it, and computes its numbers."""

import dataclasses
import json

import numpy as np
import pytest

from tests.models.references import GOLDEN, Case, big_vision, google
from tests.models.test_golden import BIG_VISION, GOOGLE, TIMM, TOLERANCE
from tests.models.timm_references import timm
from vit_jax import checkpoints, models
from vit_jax.checkpoints import Checkpoint

_RATES = ("dropout_rate", "attention_dropout_rate", "stochastic_depth_rate", "variant")


def check_same(checkpoint: Checkpoint, case: Case) -> None:
    """The tree, bit for bit; and the model, but for what no checkpoint says."""
    expected = dataclasses.asdict(models.resolve_model(case.config))
    got = dataclasses.asdict(checkpoint.model)
    for name in _RATES:
        del expected[name], got[name]
    if checkpoint.model.classifier in ("gap", "map"):
        del expected["posemb_prefix"], got["posemb_prefix"]  # there is no prefix
    if got["layer_scale_init"]:
        del expected["layer_scale_init"], got["layer_scale_init"]
    assert got == expected
    assert checkpoint.num_classes == case.num_classes
    assert set(checkpoint.tensors) == set(case.flat_params)
    for name, tensor in checkpoint.tensors.items():
        assert tensor.shape == case.flat_params[name].shape
        np.testing.assert_array_equal(np.asarray(tensor), case.flat_params[name])


def run(checkpoint: Checkpoint, io: dict[str, np.ndarray]) -> np.ndarray:
    params = {name: np.asarray(t) for name, t in checkpoint.tensors.items()}
    case = Case(checkpoint.model, checkpoint.num_classes, params, io)
    return np.asarray(case.run()[0])


@pytest.mark.parametrize("name", GOOGLE)
def test_google(name: str) -> None:
    meta = json.loads((GOLDEN / "google_vit" / f"{name}.json").read_text())
    case = google(name)
    given = {}
    if case.config.classifier in ("unpooled", "token_unpooled"):
        given["classifier"] = case.config.classifier
    for entry in meta["checkpoints"]:
        checkpoint = checkpoints.open_checkpoint(
            GOLDEN / "google_vit" / entry["file"], **given
        )
        check_same(checkpoint, case)
        naming = {"linen": "google", "prelinen": "google_prelinen"}[entry["naming"]]
        if case.config.family != "mixer":
            assert checkpoint.format == naming
        assert checkpoint.preprocessing is not None
        assert checkpoint.preprocessing.image_size == case.io["images"].shape[1:3]


@pytest.mark.parametrize("name", BIG_VISION)
def test_big_vision(name: str) -> None:
    meta = json.loads((GOLDEN / "big_vision" / f"{name}.json").read_text())
    case = big_vision(name)
    checkpoint = checkpoints.open_checkpoint(GOLDEN / "big_vision" / meta["checkpoint"])
    check_same(checkpoint, case)
    assert checkpoint.format == "big_vision"
    if name == "map_img_tower":
        assert any("left out" in note for note in checkpoint.notes)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    case = timm(name)
    given = {"num_heads": case.config.num_heads, "activation": case.config.activation}
    checkpoint = checkpoints.open_checkpoint(
        GOLDEN / "timm" / f"{name}.safetensors", **given
    )
    check_same(checkpoint, case)
    assert checkpoint.format == "timm"
    assert any("epsilon" in note for note in checkpoint.notes)


def test_huggingface(tmp_path) -> None:
    meta = json.loads((GOLDEN / "huggingface" / "vit.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(meta["config"]))
    data = (GOLDEN / "huggingface" / "vit.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data)
    checkpoint = checkpoints.open_checkpoint(tmp_path)
    assert checkpoint.model.activation == "gelu"
    assert checkpoint.model.layer_norm_epsilon == 1e-12
    assert checkpoint.model.num_heads == 4
    assert checkpoint.class_names is None  # LABEL_0, ...
    with np.load(GOLDEN / "huggingface" / "vit.io.npz") as arrays:
        io = dict(arrays)
    got = run(checkpoint, io)
    np.testing.assert_allclose(got, io["logits"], rtol=0, atol=TOLERANCE)
