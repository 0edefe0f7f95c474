"""A small program of a user's. `test_typing` has pyright check it strictly; nothing runs.

Each annotated variable says what type the package must promise there.
"""

import jax
import jax.numpy as jnp

from vit_jax import (
    Config,
    ConfigError,
    Predictor,
    ViT,
    evaluate,
    load,
    load_config,
    train,
)
from vit_jax.config import ModelConfig
from vit_jax.models import resolve_model


def fine_tune(folder: str, workdir: str) -> float:
    overrides = [f"--config.data.source=folder:{folder}"]
    config: Config = load_config("configs/vit_b16.py:folder", overrides)
    size: tuple[int, int] = config.data.image_size
    steps: int | None = config.train.total_steps
    print(f"{steps} steps of images of {size[0]} x {size[1]} pixels")
    metrics: dict[str, float] = train(config, workdir).metrics
    return max(metrics["top1"], evaluate(workdir)["top1"])


def name_images(checkpoint: str, paths: list[str]) -> list[str]:
    try:
        found = Predictor(checkpoint).predict(paths, top_k=1)
    except ConfigError as error:
        return [str(error)]
    return [f"{one.names} {one.probabilities}" for one in found if not one.error]


def describe(checkpoint: str) -> str:
    loaded = load(checkpoint)
    layers: int = loaded.num_layers
    size: tuple[int, int] = loaded.preprocessing.image_size
    return f"{layers} layers, images of {size}"


def count_parameters(num_classes: int) -> int:
    model = ViT(resolve_model(ModelConfig(variant="ViT-Ti/16")), num_classes)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))
