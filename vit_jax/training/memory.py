"""What fills the memory of one device in training, counted from shapes and shardings."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.config import Config, ModelConfig
from vit_jax.mesh.axes import RULES
from vit_jax.models.apply import apply_model
from vit_jax.models.init import init_params
from vit_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class CountedMemory:
    """Bytes of one device in training, from shapes and shardings alone.

    Attributes:
      parameters: of the model, in float32.
      moments: the rest of the training state: optimizer state and moving average.
      gradients: as large as the parameters; twice as large where the gradients of
        micro-batches are summed.
      activations: what JAX saves from the forward pass of one micro-batch for the
        backward pass, under the config's remat policy; the compiler may save less.
      batch: the images, in uint8.
    """

    parameters: int
    moments: int
    gradients: int
    activations: int
    batch: int

    @property
    def total(self) -> int:
        """The sum of all kinds, in bytes."""
        return sum(dataclasses.asdict(self).values())


def count_memory(
    config: Config, state: TrainState, mesh: Mesh, num_outputs: int | None
) -> CountedMemory:
    """Counts the memory of a training step; compiles nothing.

    Args:
      config: resolved.
      state: abstract, with shardings.
      mesh: to train on; its devices need not be present.
      num_outputs: width of the head; None: no head.
    """
    parameters = count_bytes_per_device(state.params)
    micro_batches = config.train.accum_steps
    rows = math.prod(mesh.shape[axis] for axis in RULES["batch"])
    images = config.data.batch_size / rows
    whole, split = count_saved_bytes(config.model, config.data.image_size, num_outputs)
    tensor = mesh.shape["tensor"]
    if count_tokens(config) % tensor == 0:  # then the residual stream is split as well
        whole, split = 0, whole + split
    per_image = whole + split / tensor
    return CountedMemory(
        parameters=parameters,
        moments=count_bytes_per_device(state) - parameters,
        gradients=parameters * (2 if micro_batches > 1 else 1),
        activations=round(images / micro_batches * per_image),
        batch=round(images * math.prod(config.data.image_size) * 3),
    )


def count_tokens(config: Config) -> int:
    """Returns the number of tokens that the mesh may split; 1 where it keeps them whole.

    Args:
      config: resolved.
    """
    if not models.find_family(config.model).shards_tokens:
        return 1
    sides = zip(
        config.data.image_size, models.find_token_size(config.model), strict=True
    )
    num_patches = math.prod(side // token for side, token in sides)
    return models.count_prefix(config.model) + num_patches


def count_bytes_per_device(abstract_tree: Any) -> int:
    """Returns the bytes that a sharded tree takes in the memory of one device.

    Leaves in the memory of the host count as 0.
    """
    total = 0
    for leaf in jax.tree.leaves(abstract_tree):
        if "host" in (leaf.sharding.memory_kind or ""):
            continue
        shape = leaf.sharding.shard_shape(leaf.shape)
        total += math.prod(shape) * np.dtype(leaf.dtype).itemsize
    return total


@functools.lru_cache(maxsize=32)
def count_saved_bytes(
    config: ModelConfig, image_size: tuple[int, int], num_outputs: int | None
) -> tuple[int, int]:
    """Counts the bytes per image that the forward pass saves for the backward pass.

    They are the residuals of JAX's partial evaluation: the difference between two batch
    sizes, so that arrays that do not grow with the batch drop out.

    Args:
      config: resolved.
      image_size: (height, width) in pixels.
      num_outputs: width of the head; None: no head.

    Returns:
      Bytes of arrays that the tensor axis keeps whole, and of those that it splits: with
      a dimension of the MLP's width or the number of heads.
    """
    model = models.build_model(config, num_outputs)
    params = jax.eval_shape(lambda: init_params(model, image_size, 0))
    key = jax.eval_shape(lambda: jax.random.key(0))
    widths = {config.mlp_dim, config.num_heads} - {None}

    def residuals(params: Any, images: Any, key: Any) -> list[jax.Array]:
        def loss(params: Any) -> jax.Array:
            rngs = {"dropout": key}
            logits = apply_model(model, params, images, train=True, rngs=rngs)
            return jax.nn.logsumexp(logits, axis=-1).mean()

        return jax.tree.leaves(jax.vjp(loss, params)[1])

    def saved(batch_size: int) -> tuple[int, int]:
        shape = (batch_size, *image_size, 3)
        images = jax.ShapeDtypeStruct(shape, jnp.dtype(config.dtype))
        sizes = [0, 0]
        for leaf in jax.eval_shape(residuals, params, images, key):
            is_split = bool(widths & set(leaf.shape[1:]))
            sizes[is_split] += leaf.size * leaf.dtype.itemsize
        return sizes[0], sizes[1]

    # Batch sizes that no other dimension has.
    small, large = 9967, 9973
    more = zip(saved(small), saved(large), strict=True)
    whole, split = ((after - before) // (large - small) for before, after in more)
    return whole, split
