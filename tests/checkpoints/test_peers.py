"""Our files in timm and transformers themselves, where they are installed."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints.test_adapt import checkpoint_of, logits_of
from tests.checkpoints.test_round_trips import save
from tests.checkpoints.torch_ops import have_timm
from tests.models.references import GOLDEN
from tests.models.tiny import OPTIONS, random_images, tiny
from vit_jax import checkpoints, models
from vit_jax.checkpoints import peers
from vit_jax.checkpoints.lazy import make_lazy
from vit_jax.config import ModelConfig

pytestmark = pytest.mark.skipif(not have_timm(), reason="timm is not installed")
TOLERANCE = 1e-4
IN_TIMM = ("plain", "map", "deit", "dinov2", "swiglu", "qk_norm", "fc_norm", "mixer")
BY_LOADER = {
    "google_vit/token.prelinen.npz": "google_prelinen",
    "google_vit/gap.prelinen.npz": "google_prelinen",
    "google_vit/deep11.prelinen.npz": "google_prelinen",
    "big_vision/gap_learn.npz": "big_vision",
}


def check(path: Path, file_format: str, source: checkpoints.Checkpoint) -> None:
    assert source.preprocessing is not None
    images = random_images((2, *source.preprocessing.image_size, 3))
    images = np.array(images)
    theirs = peers.run_peer(path, file_format, source, images)
    assert theirs is not None
    ours = logits_of(source, images)
    assert np.abs(ours).max() > 0.01
    np.testing.assert_allclose(theirs[1], ours, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", IN_TIMM)
def test_timm_computes_the_same(name: str, tmp_path: Path) -> None:
    source = checkpoint_of(OPTIONS[name])
    save(tmp_path / "x.safetensors", "timm", source)
    check(tmp_path / "x.safetensors", "timm", source)


@pytest.mark.parametrize("name", sorted(BY_LOADER))
def test_timms_loader_reads_our_npz(name: str, tmp_path: Path) -> None:
    source = checkpoints.open_checkpoint(GOLDEN / name)
    save(tmp_path / "x.npz", BY_LOADER[name], source)
    check(tmp_path / "x.npz", BY_LOADER[name], source)


FOLDERS = {
    "clip": tiny(
        pre_norm=True,
        patch_bias=False,
        activation="quick_gelu",
        layer_norm_epsilon=1e-5,
    ),
    **{name: OPTIONS[name] for name in IN_TIMM if name != "mixer"},
}


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_timm_makes_the_model_from_our_folder(name: str, tmp_path: Path) -> None:
    timm, torch = (importlib.import_module(name) for name in ("timm", "torch"))

    source = checkpoint_of(FOLDERS[name])
    save(tmp_path / "x", "timm", source)
    model = timm.create_model(f"local-dir:{tmp_path / 'x'}", pretrained=True).eval()
    images = np.array(random_images())
    with torch.no_grad():
        got = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(got, logits_of(source, images), rtol=0, atol=TOLERANCE)


def test_timm_makes_a_published_mixer_from_our_folder(tmp_path: Path) -> None:
    """Its names and shapes; its GELU is another one."""
    timm = importlib.import_module("timm")
    config = models.resolve_model(ModelConfig(variant="Mixer-S/32"))
    shapes = models.find_shapes(config, 5, (224, 224))
    tensors = {k: make_lazy(np.full(s, 2, np.float32)) for k, s in shapes.items()}
    source = checkpoints.Checkpoint("vit_jax", tensors, config, 5)
    checkpoints.write_checkpoint(tmp_path / "x", "timm", source)
    model = timm.create_model(f"local-dir:{tmp_path / 'x'}", pretrained=True)
    assert all((p == 2).all() for p in model.parameters())


TRANSFORMERS = {
    "vit": (tiny(activation="gelu", layer_norm_epsilon=1e-12), 5),
    "tanh": (tiny(), 5),
    "pooler": (tiny(representation_size=16), None),
    "deit": (tiny(distillation_token=True, activation="gelu"), 5),
    "deit_tower": (tiny(distillation_token=True, activation="gelu"), None),
    "dinov2": (tiny(layer_scale_init=1e-5, activation="gelu", mlp_dim=32), None),
    "swiglu": (tiny(layer_scale_init=1e-5, activation="swiglu", mlp_dim=48), None),
    "registers": (
        tiny(
            layer_scale_init=1e-5,
            activation="gelu",
            num_registers=4,
            mlp_dim=32,
            posemb_prefix=False,
        ),
        None,
    ),
    "siglip": (tiny(classifier="map"), None),
    "clip": (
        tiny(
            pre_norm=True,
            patch_bias=False,
            activation="quick_gelu",
            layer_norm_epsilon=1e-5,
        ),
        None,
    ),
}


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
def test_transformers_computes_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    source = checkpoint_of(*TRANSFORMERS[name])
    save(tmp_path / "x", "huggingface", source)
    check(tmp_path / "x", "huggingface", source)


def test_check_where_timm_has_no_loader(tmp_path: Path) -> None:
    source = GOLDEN / "google_vit" / "mixer.linen.npz"
    lines = checkpoints.convert_file(source, tmp_path / "x.npz", check=True)
    assert lines[-1] == "check: no other library for this file is installed"


def test_check_reports_the_difference(tmp_path: Path) -> None:
    lines = checkpoints.convert_file(
        GOLDEN / "google_vit" / "token.linen.npz",
        tmp_path / "x.npz",
        "google_prelinen",
        check=True,
    )
    assert lines[-2].startswith("check: the file read back: largest difference 0.0e+00")
    assert lines[-1].startswith("check: timm: largest difference ")
    assert float(lines[-1].split()[4]) < TOLERANCE
