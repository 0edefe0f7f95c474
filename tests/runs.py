"""Small runs that several tests share."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.config import (
    Config,
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
)
from vit_jax.config.durations import resolve_steps
from vit_jax.mesh.sharding import make_mesh, shard_batch
from vit_jax.training.program import Program, make_program
from vit_jax.training.resolve import resolve_config

# Trains in a second on the 1,438 digits; every random part is on.
TINY = Config(
    name="tiny",
    model=ModelConfig(
        patch_size=(4, 4),
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        mlp_dim=32,
        dropout_rate=0.1,
        stochastic_depth_rate=0.1,
    ),
    data=DataConfig(source="digits", image_size=(8, 8), batch_size=32, flip=True),
    optim=OptimConfig(learning_rate=0.1, warmup_steps=2, accumulator_dtype="bfloat16"),
    train=TrainConfig(
        total_steps=12, eval_every_steps=6, save_every_steps=4, log_every_steps=2
    ),
)


def file_of(config: Config) -> str:
    """Returns a config as a file, for what starts from the command line."""
    left_out = ("mesh", "init")
    values = {k: v for k, v in dataclasses.asdict(config).items() if k not in left_out}
    return f"""
import ml_collections
def get_config():
    return ml_collections.ConfigDict({values})
"""


TINY_FILE = file_of(TINY)


def change(config: Config, **sections: Any) -> Config:
    """Returns the config with fields of its sections replaced."""
    changed = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in sections.items()
    }
    return dataclasses.replace(config, **changed)


def program_on(
    config: Config, num_devices: int, num_classes: int
) -> tuple[Program, Any]:
    """Returns the program of a config and its mesh over the first devices."""
    config = resolve_config(config)
    mesh = make_mesh(config.mesh, jax.devices()[:num_devices])
    steps = resolve_steps(config, num_examples=1000)
    return make_program(config, steps, num_classes, mesh), mesh


def losses_of(config: Config, num_devices: int, num_steps: int) -> np.ndarray:
    """Returns the loss of each update on fixed random images and labels."""
    program, mesh = program_on(config, num_devices, num_classes=10)
    rng = np.random.default_rng(0)
    state, losses = program.init(), []
    for _ in range(num_steps):
        size = (config.data.batch_size, *config.data.image_size, 3)
        batch = {
            "image": rng.integers(0, 256, size, dtype=np.uint8),
            "label": rng.integers(0, 10, config.data.batch_size, dtype=np.int32),
        }
        state, metrics = program.train_step(state, shard_batch(batch, mesh))
        losses.append(metrics["loss"].item())
    return np.array(losses)


def load_case(golden: Path, name: str) -> tuple[Config, dict[str, Any], dict[str, Any]]:
    """Returns a training case of the original: config, data arrays, result arrays."""
    case = json.loads((golden / "train" / f"{name}.json").read_text())
    model, schedule = case["model_config"], case["schedule"]
    config = Config(
        name=name,
        model=ModelConfig(
            patch_size=tuple(model["patches"]["size"]),
            hidden_size=model["hidden_size"],
            num_layers=model["transformer"]["num_layers"],
            num_heads=model["transformer"]["num_heads"],
            mlp_dim=model["transformer"]["mlp_dim"],
            classifier=model["classifier"],
            representation_size=model["representation_size"],
        ),
        data=DataConfig(
            source="golden",
            image_size=tuple(case["image_size"]),
            batch_size=case["batch"],
            flip=False,
        ),
        optim=OptimConfig(
            learning_rate=schedule["base"],
            schedule=schedule["decay_type"],
            warmup_steps=schedule["warmup_steps"],
            momentum=case["optimizer"]["momentum"],
            accumulator_dtype=case["optimizer"]["accumulator_dtype"],
        ),
        train=TrainConfig(total_steps=schedule["total_steps"]),
        mesh=MeshConfig(),
    )
    data = dict(np.load(golden / "train" / f"{name}.data.npz"))
    result = dict(np.load(golden / "train" / f"{name}.result.npz"))
    return config, data, result
