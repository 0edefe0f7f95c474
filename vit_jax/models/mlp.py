"""The MLP of a block, and its activations."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.config.choices import ACTIVATIONS
from vit_jax.mesh.axes import Axes
from vit_jax.models.dimensions import require


class Activation(NamedTuple):
    """``apply``: [... m] -> [... h]; a gated one halves the width."""

    apply: Callable[[Float[Array, "... m"]], Float[Array, "... h"]]
    is_gated: bool = False


def quick_gelu(x: Float[Array, "... m"]) -> Float[Array, "... m"]:
    """Returns x sigmoid(1.702 x)."""
    return x * nn.sigmoid(1.702 * x)


def swiglu(x: Float[Array, "... m"]) -> Float[Array, "... h"]:
    """Returns the second half of ``x``, gated by the first."""
    gate, value = jnp.split(x, 2, axis=-1)
    return nn.silu(gate) * value


GELU_TANH = Activation(functools.partial(nn.gelu, approximate=True))
GELU = Activation(functools.partial(nn.gelu, approximate=False))
QUICK_GELU = Activation(quick_gelu)
SWIGLU = Activation(swiglu, is_gated=True)


def activate(x: Float[Array, "... m"], activation: str) -> Float[Array, "... h"]:
    """Applies a row of `ACTIVATIONS`; a gated one halves the width.

    Raises:
        ConfigError: an unknown name.
    """
    return ACTIVATIONS.resolve(activation).apply(x)


class MlpBlock(nn.Module):
    """Two dense layers with an activation between; dropout after each.

    ``config.mlp_dim`` is what the second layer sees: where the activation is gated the
    first one makes twice as much, gate and value packed into one kernel.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], train: bool) -> Float[Array, "b n d"]:
        config, width = self.config, x.shape[-1]
        dense = functools.partial(
            nn.Dense,
            kernel_init=nn.initializers.xavier_uniform(),
            bias_init=nn.initializers.normal(stddev=1e-6),
            dtype=config.dtype,
        )
        dropout = functools.partial(nn.Dropout, config.dropout_rate)
        packed = 2 if ACTIVATIONS.resolve(config.activation).is_gated else 1
        x = dense(require(config.mlp_dim) * packed, name="Dense_0")(x)
        x = activate(x, config.activation)
        x = dropout(name="dropout_0")(x, deterministic=not train)
        x = dense(width, name="Dense_1")(x)
        return dropout(name="dropout_1")(x, deterministic=not train)


AXES: Axes = (
    ("MlpBlock_0/Dense_0/kernel", ("embed", "mlp")),
    ("MlpBlock_0/Dense_0/bias", ("mlp",)),
    ("MlpBlock_0/Dense_1/kernel", ("mlp", "embed")),
    ("MlpBlock_0/Dense_1/bias", ("embed",)),
)
