"""Fine-tuning starts from a checkpoint of any format, from the command line."""

import dataclasses
import json

import pytest

from tests.checkpoints.test_adapt import checkpoint_of
from tests.models.tiny import tiny
from tests.runs import TINY, change
from vit_jax.checkpoints import write_checkpoint
from vit_jax.cli import main
from vit_jax.config import Config, InitConfig, ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.training.loop import train
from vit_jax.training.resolve import resolve_config

FILE = """
import ml_collections
def get_config():
    return ml_collections.ConfigDict({
        "name": "any",
        "data": {"source": "digits", "image_size": 32, "batch_size": 16, "flip": False},
        "train": {"total_steps": 2, "log_every_steps": 1},
        "optim": {"learning_rate": 0.01},
    })
"""

CHECKPOINTS = [
    "google_vit/token.linen.npz",
    "google_vit/token_rep.prelinen.npz",
    "google_vit/gap.linen.npz",
    "google_vit/hybrid_root.linen.npz",
    "google_vit/mixer.linen.npz",
    "big_vision/map_learn_scan.npz",
    "big_vision/map_img_tower.npz",
    "big_vision/gap_sincos_rep.npz",
]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_digits_fine_tune_from_any_format(golden, tmp_path, capsys, name):
    fine_tune(golden / name, tmp_path, capsys)


@pytest.mark.parametrize("to", ["timm", "huggingface"])
def test_digits_fine_tune_from_what_we_wrote(golden, tmp_path, capsys, to):
    source, folder = golden / "google_vit/token.linen.npz", tmp_path / to
    assert main(["convert", str(source), str(folder), f"--to={to}"]) == 0
    fine_tune(folder, tmp_path, capsys)


def fine_tune(checkpoint, tmp_path, capsys, *overrides):
    """Trains two steps on digits, evaluates, and looks at the outcome."""
    config = tmp_path / "any.py"
    config.write_text(FILE)
    workdir = tmp_path / "run"
    argv = ["train", f"--config={config}", f"--workdir={workdir}"]
    assert main([*argv, f"--config.init.checkpoint={checkpoint}", *overrides]) == 0
    out = capsys.readouterr().out
    assert "a new head of 10 classes, which starts at zero" in out
    lines = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
    # A head of zeros: the first loss is ln 10, whatever the features are.
    assert lines[0]["loss"] == pytest.approx(2.302585, abs=1e-4)
    assert lines[-1]["count"] == 359
    # The result is a run like any other.
    assert main(["eval", f"--workdir={workdir}", "--split=test[:20]"]) == 0
    assert "(20 images)" in capsys.readouterr().out


def test_the_model_is_the_checkpoints_but_for_what_a_run_chooses(golden):
    config = change(
        TINY,
        init={"checkpoint": str(golden / "google_vit/token_rep.linen.npz")},
        data={"image_size": (40, 40)},
    )
    own = ModelConfig(dropout_rate=0.2, dtype="bfloat16")
    model = resolve_config(dataclasses.replace(config, model=own)).model
    assert (model.hidden_size, model.num_heads, model.mlp_dim) == (32, 2, 48)
    assert (model.dropout_rate, model.dtype) == (0.2, "bfloat16")
    assert model.representation_size is None
    own = ModelConfig(patch_size=(4, 4), classifier="gap", representation_size=40)
    model = resolve_config(dataclasses.replace(config, model=own)).model
    assert (model.patch_size, model.classifier) == ((4, 4), "gap")
    assert (model.representation_size, model.hidden_size) == (40, 32)


def test_patches_of_another_size_without_the_models_dimensions(
    golden, tmp_path, capsys
):
    patch = "--config.model.patch_size=4"
    fine_tune(golden / "google_vit/token.linen.npz", tmp_path, capsys, patch)
    shown = json.loads((tmp_path / "run" / "config.json").read_text())
    assert shown["model"]["patch_size"] == [4, 4]


def test_a_model_that_the_checkpoint_does_not_fit_is_told(golden, tmp_path, capsys):
    config = tmp_path / "any.py"
    config.write_text(FILE)
    argv = ["train", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    path = golden / "google_vit/token.linen.npz"
    model = ["--config.model.variant=ViT-Ti/16", "--config.model.num_layers=2"]
    assert main([*argv, f"--config.init.checkpoint={path}", *model]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "(32, 4, 8)" in error or "shape" in error


def test_a_scaling_that_cannot_be_folded_is_refused(tmp_path):
    model = tiny(activation="gelu", patch_bias=False)
    assert model.patch_size is not None
    size = (model.patch_size[0] * 2, model.patch_size[1] * 2)
    source = checkpoint_of(model, 10, size)
    write_checkpoint(tmp_path / "clip.safetensors", "timm", source)
    config = Config(
        name="x",
        data=dataclasses.replace(TINY.data, image_size=size, value_range=(0.0, 1.0)),
        train=TINY.train,
        init=InitConfig(checkpoint=str(tmp_path / "clip.safetensors")),
    )
    with pytest.raises(ConfigError, match=r"without bias, got \(0.0, 1.0\).*use \(-1"):
        train(config, tmp_path / "run")


def test_a_checkpoint_that_is_not_there_is_told(tmp_path):
    config = Config(
        name="x",
        data=TINY.data,
        init=InitConfig(checkpoint=str(tmp_path / "nope.npz")),
    )
    with pytest.raises(ConfigError, match=r"nope\.npz does not exist"):
        resolve_config(config)
