"""Normalisation in float32, whatever the dtype of the computation."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.mesh.sharding import Axes


def layer_norm(
    x: Float[Array, "... d"], *, name: str, epsilon: float = 1e-6, dtype: DTypeLike
) -> Float[Array, "... d"]:
    """Normalises each vector, with learned scale and bias; returns ``dtype``.

    Statistics of bfloat16 values are computed in float32, and the cast is explicit.

    Args:
        x: of any floating dtype.
        name: of the submodule.
        epsilon: added to the variance.
        dtype: of the result.
    """
    norm = nn.LayerNorm(epsilon, dtype=jnp.float32, name=name)
    return norm(x.astype(jnp.float32)).astype(dtype)


def group_norm(
    x: Float[Array, "b h w c"],
    *,
    name: str,
    dtype: DTypeLike,
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
) -> Float[Array, "b h w c"]:
    """Normalises over the image in 32 groups of channels (arXiv:1803.08494).

    As `layer_norm`; epsilon 1e-6 is the original's (timm: 1e-5).
    """
    norm = nn.GroupNorm(
        num_groups=32,
        epsilon=1e-6,
        dtype=jnp.float32,
        scale_init=scale_init,
        name=name,
    )
    return norm(x.astype(jnp.float32)).astype(dtype)


def list_norm_axes(*names: str, axis: str = "embed") -> Axes:
    """Returns the rows of `AXES` for scale and bias of norms over one logical axis."""
    return tuple(
        (f"{name}/{parameter}", (axis,))
        for name in names
        for parameter in ("scale", "bias")
    )
