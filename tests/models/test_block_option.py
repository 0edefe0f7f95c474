"""A block option with a parameter, added to a copy of the package as a contributor would.

It touches the config and the module with its axes row, nothing else, and is known
everywhere: in training, in checkpoints, on a mesh, to the plan; and where a format does
not have it, it is refused by name.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vit_jax

pytestmark = pytest.mark.slow  # compiles two runs

# A LayerNorm over the width of a head, between the attention and its `out`.
EDITS = {
    "config/model.py": [
        (
            "    qk_norm: bool = False",
            "    value_norm: bool = False\n    qk_norm: bool = False",
        )
    ],
    "models/attention.py": [
        (
            '        x = dense(width, axis=(-2, -1), name="out")(x)',
            "        if config.value_norm:\n"
            '            x = layer_norm(x, name="value_ln", dtype=config.dtype)\n'
            '        x = dense(width, axis=(-2, -1), name="out")(x)',
        ),
        (
            'list_norm_axes("query_ln", "key_ln",',
            'list_norm_axes("query_ln", "key_ln", "value_ln",',
        ),
    ],
}

WALK = """
import dataclasses, json, logging, sys
import jax, numpy as np
from flax.traverse_util import flatten_dict
from vit_jax import models
from vit_jax.checkpoints import convert_file
from vit_jax.checkpoints.load import load, load_pretrained
from vit_jax.config import Config, DataConfig, MeshConfig, ModelConfig, TrainConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import find_logical_axes
from vit_jax.models.flops import count_multiply_adds
from vit_jax.plan import make_plan
from vit_jax.training.loop import train

def run(folder, scan, value_norm=True, **mesh):
    config = Config(
        name="grown",
        model=ModelConfig(patch_size=(4, 4), hidden_size=16, num_layers=2, num_heads=2,
                          mlp_dim=32, scan=scan, value_norm=value_norm),
        data=DataConfig(source="digits", image_size=(8, 8), batch_size=32),
        train=TrainConfig(total_steps=2, save_every_steps=2, eval_every_steps=2),
        mesh=MeshConfig(**mesh),
    )
    train(config, folder)
    return config

def flat(tree):
    return flatten_dict(tree, sep="/")

folder = sys.argv[1]
found = {}
config = run(f"{folder}/loop", False, data=2, fsdp=2, tensor=2)
run(f"{folder}/scan", True, data=2, fsdp=2, tensor=2)
names = set(models.find_shapes(config.model, 10, (8, 8)))
found["arrays"] = len(names)
axes = models.find_axes(config.model)
found["axes"] = find_logical_axes("a/value_ln/scale", 1, axes)
found["new"] = sorted(n for n in names if "value_ln" in n)
for name in ("loop", "scan"):
    params = flat(load(f"{folder}/{name}").params)
    found[f"loaded_{name}"] = set(params) == names
    moved = [k for k, v in params.items()
             if "value_ln/scale" in k and np.any(np.asarray(v) != 1)]
    found[f"trained_{name}"] = len(moved)
    pretrained = load_pretrained(f"{folder}/{name}").params
    found[f"pretrained_{name}"] = set(flat(pretrained)) == names
plain = dataclasses.replace(config.model, value_norm=False)
size = (10, (8, 8))
found["products"] = count_multiply_adds(config.model, *size) == count_multiply_adds(plain, *size)
plan = make_plan(config, num_devices=8, num_classes=10, compiled=False)
without = make_plan(dataclasses.replace(config, model=plain), num_devices=8,
                    num_classes=10, compiled=False)
found["planned"] = plan.parameters - without.parameters
found["refused"] = {}
for to in ("google", "google_prelinen", "big_vision", "timm", "huggingface"):
    suffix = "npz" if to in ("google", "google_prelinen", "big_vision") else "safetensors"
    try:
        convert_file(f"{folder}/loop", f"{folder}/{to}.{suffix}", to)
        found["refused"][to] = "written"
    except ConfigError as error:
        found["refused"][to] = str(error)
mixer = ModelConfig(variant="Mixer-B/16", value_norm=True)
try:
    models.resolve_model(mixer)
except ConfigError as error:
    found["mixer"] = str(error)
print("FOUND" + json.dumps(found))
"""


def grow_package(folder: Path) -> None:
    """Copies the package and edits the copy."""
    shutil.copytree(Path(vit_jax.__file__).parent, folder / "vit_jax")
    for name, edits in EDITS.items():
        path = folder / "vit_jax" / name
        text = path.read_text()
        for old, new in edits:
            assert text.count(old) == 1, f"{name} changed: {old!r} is not there once"
            text = text.replace(old, new)
        path.write_text(text)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the walk reports, in a process of its own with 8 devices."""
    folder = tmp_path_factory.mktemp("grown")
    grow_package(folder)
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    done = subprocess.run(
        [sys.executable, "-c", WALK, str(folder)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("FOUND")[2])


def test_few_files_are_touched() -> None:
    assert len(EDITS) <= 3


def test_trained_and_loaded_with_every_array(found: dict) -> None:
    """On a mesh of 2 x 2 x 2, in a loop and in a scan."""
    attention = "Transformer/encoderblock_{}/MultiHeadDotProductAttention_0/value_ln/{}"
    expected = [attention.format(i, p) for i in (0, 1) for p in ("bias", "scale")]
    assert found["new"] == expected
    assert found["axes"] == ["head_dim"]
    for name in ("loop", "scan"):
        assert found[f"loaded_{name}"]
        assert found[f"pretrained_{name}"]
        assert found[f"trained_{name}"] == 2


def test_counted_and_planned(found: dict) -> None:
    assert found["products"]  # a norm has none
    assert found["planned"] == 2 * 2 * 8


def test_refused_by_name_where_it_is_unknown(found: dict) -> None:
    assert len(found["refused"]) == 5
    for file_format, message in found["refused"].items():
        assert "value_norm" in message, (file_format, message)
    assert "value_norm must be False in the family mixer" in found["mixer"]
