"""Where the bytes of one device go: counted from shapes, and by the compiler."""

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
from vit_jax.mesh.sharding import RULES
from vit_jax.models.apply import apply_model
from vit_jax.models.init import init_params
from vit_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class CountedMemory:
    """Bytes of one device in training, from shapes and shardings alone.

    Attributes:
      parameters: float32.
      moments: everything else of the state: the optimizer's, the moving average.
      gradients: as large as the parameters; twice where micro-batches are summed.
      activations: what JAX saves of one micro-batch for the backward pass, under the
        config's remat policy; the compiler may save less.
      batch: the images as they arrive.
    """

    parameters: int
    moments: int
    gradients: int
    activations: int
    batch: int

    @property
    def total(self) -> int:
        return sum(dataclasses.asdict(self).values())


@dataclasses.dataclass(frozen=True)
class ProgramMemory:
    """Bytes of one device while a compiled program runs, by the compiler's count.

    Attributes:
      arguments: state and batch.
      outputs: what is returned and does not lie in a donated argument.
      temporaries: gradients, activations and whatever else is alive at the peak.
      code: of the program itself; 0 where it does not lie in the device's memory.
    """

    arguments: int
    outputs: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        return sum(dataclasses.asdict(self).values())


def measure_program(compiled: Any) -> ProgramMemory:
    """Returns the memory that a ``jax.stages.Compiled`` needs on each device."""
    stats = compiled.memory_analysis()
    return ProgramMemory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )


def count_memory(
    config: Config, state: TrainState, mesh: Mesh, num_classes: int
) -> CountedMemory:
    """Counts the memory of a training step; compiles nothing.

    Args:
      config: resolved.
      state: abstract, with shardings.
      mesh: whose devices need not be here.
      num_classes: of the head.
    """
    parameters = count_bytes_per_device(state.params)
    micro_batches = config.train.accum_steps
    rows = math.prod(mesh.shape[axis] for axis in RULES["batch"])
    images = config.data.batch_size / rows
    whole, cut = count_saved_bytes(config.model, config.data.image_size, num_classes)
    tensor = mesh.shape["tensor"]
    if count_stream_tokens(config) % tensor == 0:  # cut as well: `sharding.STREAM`
        whole, cut = 0, whole + cut
    per_image = whole + cut / tensor
    return CountedMemory(
        parameters=parameters,
        moments=count_bytes_per_device(state) - parameters,
        gradients=parameters * (2 if micro_batches > 1 else 1),
        activations=round(images / micro_batches * per_image),
        batch=round(images * math.prod(config.data.image_size) * 3),
    )


def count_stream_tokens(config: Config) -> int:
    """Returns how many tokens a ViT's layers see; 1 of a Mixer, which keeps them whole."""
    if not models.find_family(config.model).shards_tokens:
        return 1
    sides = zip(
        config.data.image_size, models.find_token_size(config.model), strict=True
    )
    num_patches = math.prod(side // token for side, token in sides)
    return models.count_prefix(config.model) + num_patches


def count_bytes_per_device(abstract_tree: Any) -> int:
    """Returns the bytes of a tree with shardings in the memory of one device."""
    total = 0
    for leaf in jax.tree.leaves(abstract_tree):
        if "host" in (leaf.sharding.memory_kind or ""):
            continue
        shape = leaf.sharding.shard_shape(leaf.shape)
        total += math.prod(shape) * np.dtype(leaf.dtype).itemsize
    return total


@functools.lru_cache(maxsize=32)
def count_saved_bytes(
    config: ModelConfig, image_size: tuple[int, int], num_classes: int
) -> tuple[int, int]:
    """Returns bytes per image that the backward pass is given by the forward pass.

    It is what JAX's own partial evaluation saves: the difference between two batches,
    so that whatever does not grow with them drops out.

    Returns:
      Of arrays that the tensor axis leaves whole, and of those that it cuts: with the
      MLP's width or the heads.
    """
    model = models.build_model(config, num_classes)
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
            cut = bool(widths & set(leaf.shape[1:]))
            sizes[cut] += leaf.size * leaf.dtype.itemsize
        return sizes[0], sizes[1]

    # Sizes that no other axis has.
    small, large = 9967, 9973
    more = zip(saved(small), saved(large), strict=True)
    whole, cut = ((after - before) // (large - small) for before, after in more)
    return whole, cut
