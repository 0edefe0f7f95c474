"""A model applied: images to logits, in float32 whatever it computes in."""

from typing import Any, cast

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


def apply_model(
    model: nn.Module, params: Any, images: Float[Array, "b h w c"], **options: Any
) -> Float[Array, "b y"]:
    """Returns logits in float32, whatever the model computes in."""
    logits = model.apply({"params": params}, images, **options)
    return cast(Array, logits).astype(jnp.float32)
