"""The MLP of a block, and its activations."""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# gelu_tanh: the original and big_vision. gelu: with the error function, timm, DeiT and
# Hugging Face. quick_gelu: x sigmoid(1.702 x), OpenAI's CLIP. The three differ by about
# 1e-3 at most, which is enough to spoil a comparison. swiglu: arXiv:2002.05202, DINOv2.
ACTIVATIONS = ("gelu_tanh", "gelu", "quick_gelu", "swiglu")


def activate(x: Float[Array, "... m"], activation: str) -> Float[Array, "... h"]:
    """Applies the activation; ``swiglu`` gates one half of ``x`` with the other."""
    match activation:
        case "gelu_tanh" | "gelu":
            return nn.gelu(x, approximate=activation == "gelu_tanh")
        case "quick_gelu":
            return x * nn.sigmoid(1.702 * x)
        case "swiglu":
            gate, value = jnp.split(x, 2, axis=-1)
            return nn.silu(gate) * value
    raise ValueError(
        f'activation must be one of {", ".join(ACTIVATIONS)}, got "{activation}"'
    )


class MlpBlock(nn.Module):
    """Two dense layers with an activation between; dropout after each.

    ``mlp_dim`` is what the second layer sees: with ``swiglu`` the first one makes twice
    as much, gate and value packed into one kernel.
    """

    mlp_dim: int
    activation: str = "gelu_tanh"
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], train: bool) -> Float[Array, "b n d"]:
        width = x.shape[-1]
        dense = functools.partial(
            nn.Dense,
            kernel_init=nn.initializers.xavier_uniform(),
            bias_init=nn.initializers.normal(stddev=1e-6),
            dtype=self.dtype,
        )
        packed = 2 if self.activation == "swiglu" else 1
        x = activate(dense(self.mlp_dim * packed, name="Dense_0")(x), self.activation)
        x = nn.Dropout(self.dropout_rate, name="dropout_0")(x, deterministic=not train)
        x = dense(width, name="Dense_1")(x)
        return nn.Dropout(self.dropout_rate, name="dropout_1")(
            x, deterministic=not train
        )
