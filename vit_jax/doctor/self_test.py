"""Does the program compute right here? A tiny model, two steps, a checkpoint, images."""

import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from vit_jax import models
from vit_jax.checkpoints import nest
from vit_jax.checkpoints.card import make_card
from vit_jax.config import Config, DataConfig, ModelConfig
from vit_jax.config.durations import resolve_steps
from vit_jax.data.images.decode import decode
from vit_jax.mesh.sharding import make_mesh, shard_batch
from vit_jax.models.apply import apply_model
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.program import make_program
from vit_jax.training.resolve import resolve_config

# Loss and norm of the gradients, computed in float64 by NumPy alone (a test does it
# again). Not even products in bfloat16 move them by the tolerance.
LOSS = 2.430374
GRADIENT_NORM = 1.930552
TOLERANCE = 1e-2

NUM_CLASSES = 10

CONFIG = Config(
    name="doctor",
    model=ModelConfig(
        patch_size=(4, 4), hidden_size=8, num_layers=2, num_heads=2, mlp_dim=16
    ),
    data=DataConfig(source="digits", image_size=(8, 8), batch_size=4, flip=False),
)


def make_parameters() -> dict[str, np.ndarray]:
    """Returns path -> float64 array: sines, that no random generator can change."""
    shapes = models.find_shapes(CONFIG.model, NUM_CLASSES, CONFIG.data.image_size)
    filled = {}
    for i, (name, shape) in enumerate(sorted(shapes.items())):
        size = int(np.prod(shape))
        wave = 0.3 * np.sin(1.7 * np.arange(size, dtype=np.float64) + i)
        filled[name] = wave.reshape(shape) + float(name.endswith("scale"))
    return filled


def make_images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Returns four images float64 [b, h, w, 3] in [-1, 1] and their labels [b]."""
    images = np.sin(0.37 * np.arange(4 * 8 * 8 * 3)).reshape(4, 8, 8, 3)
    return images, np.array([3, 1, 4, 1])


def _forward_and_backward() -> str:
    model = models.build_model(models.resolve_model(CONFIG.model), NUM_CLASSES)
    images, labels = make_images_and_labels()
    inputs = jnp.asarray(images, jnp.float32)
    filled = {k: np.asarray(v, np.float32) for k, v in make_parameters().items()}

    def loss_fn(params: Any) -> jax.Array:
        logits = apply_model(model, params, inputs, train=False)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    @jax.jit
    def loss_and_norm(params: Any) -> tuple[jax.Array, jax.Array]:
        loss, gradients = jax.value_and_grad(loss_fn)(params)
        return loss, optax.tree.norm(gradients)

    with jax.default_matmul_precision("highest"):
        loss, norm = loss_and_norm(nest(filled))
    _compare("loss", float(loss), LOSS)
    _compare("norm of the gradients", float(norm), GRADIENT_NORM)
    return f"loss {loss:.4f}, gradients {norm:.4f}, as they must be"


def _compare(what: str, got: float, expected: float) -> None:
    if not abs(got - expected) <= TOLERANCE * expected:
        raise ArithmeticError(f"{what} must be {expected:.4f}, got {got:.4f}")


def _train_and_resume() -> str:
    """Trains two steps on all devices, saves, restores, and compares every bit."""
    rows = 2 * len(jax.devices())
    model = dataclasses.replace(CONFIG.model, num_layers=1)  # half as much to compile
    data = dataclasses.replace(CONFIG.data, batch_size=rows)
    train = dataclasses.replace(CONFIG.train, total_steps=2)
    config = dataclasses.replace(CONFIG, model=model, data=data, train=train)
    config = resolve_config(config)
    mesh = make_mesh(config.mesh)
    program = make_program(config, resolve_steps(config, rows), NUM_CLASSES, mesh)
    batch = {
        "image": np.zeros((rows, 8, 8, 3), np.uint8),
        "label": np.zeros(rows, np.int32),
    }
    state = program.init()
    for _ in range(2):
        state, _ = program.train_step(state, shard_batch(batch, mesh))
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        try:
            checkpoints.save(state, {}, make_card(config, NUM_CLASSES, None))
            checkpoints.wait()
            restored, _ = checkpoints.restore(program.abstract_state)
        finally:
            checkpoints.close()
    same = jax.tree.map(np.array_equal, jax.device_get(state), jax.device_get(restored))
    if not jax.tree.all(same):
        raise ArithmeticError("a checkpoint must hold what was saved, and does not")
    where = f"{mesh.size} devices" if mesh.size > 1 else "1 device"
    return f"two steps on {where}, saved and restored to the bit"


def _read_images() -> str:
    pixels = np.full((32, 48, 3), 128, np.uint8)
    for name in ("PNG", "JPEG", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, name)
        if np.abs(decode(buffer.getvalue()).astype(int) - 128).max() > 2:
            raise ArithmeticError(f"a grey {name} must be read as grey, and is not")
    return "PNG, JPEG and WebP are read"


# Each returns what it found, or raises.
TESTS: dict[str, Callable[[], str]] = {
    "model": _forward_and_backward,
    "training": _train_and_resume,
    "images": _read_images,
}
