"""Initial parameters, and the keys of every random stream."""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.layers import stack_layer_params


def init_params(model: nn.Module, image_size: tuple[int, int], seed: int) -> Any:
    """Returns initial parameters; the same for any mesh, stacked by a scan or not."""
    images = jnp.zeros((1, *image_size, 3), jnp.float32)
    key = derive_key(seed, "init")
    config = getattr(model, "config", None)
    if config is not None and config.scan:
        # A scan would draw other numbers: each layer's key comes from its name.
        loop = model.clone(config=dataclasses.replace(config, scan=False))
        return stack_layer_params(init_params(loop, image_size, seed))
    return model.init(key, images, train=False)["params"]


# Numbers are part of every run's result: append, never renumber. A stream that is not
# among them, as an objective may have, has the CRC of its name.
_STREAMS = {"init": 0, "dropout": 1, "augment": 2, "data": 3, "mix": 4, "objective": 5}


def derive_key(seed: int, stream: str, step: Any = None) -> jax.Array:
    """Returns the key of a named stream, for one step if given.

    No state is carried between steps, so a resumed run draws the same numbers.
    """
    number = _STREAMS.get(stream, zlib.crc32(stream.encode()))
    key = jax.random.fold_in(jax.random.key(seed), number)
    return key if step is None else jax.random.fold_in(key, step)
