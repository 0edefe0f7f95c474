"""The pre-norm Transformer encoder."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.spmd import with_logical_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.models.attention import Attention
from vit_jax.models.mlp import MlpBlock
from vit_jax.models.norm import layer_norm
from vit_jax.models.posemb import ADDED, PositionEmbedding, rope2d_angles
from vit_jax.models.residual import LayerScale, StochasticDepth, stochastic_depth_rate


class EncoderBlock(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Dosovitskiy et al. 2021 (arXiv:2010.11929), equations 2 and 3. The fields are those
    of `vit_jax.config.ModelConfig`; ``stochastic_depth_rate`` is this layer's own.
    """

    num_heads: int
    mlp_dim: int
    activation: str = "gelu_tanh"
    qk_norm: bool = False
    relative: bool = False
    layer_scale_init: float | None = None
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    stochastic_depth_rescale: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        train: bool,
        angles: Float[Array, "n f"] | None = None,
    ) -> Float[Array, "b n d"]:
        norm = functools.partial(
            layer_norm, epsilon=self.layer_norm_epsilon, dtype=self.dtype
        )
        y = norm(x, name="LayerNorm_0")
        y = Attention(
            self.num_heads,
            dropout_rate=self.attention_dropout_rate,
            qk_norm=self.qk_norm,
            relative=self.relative,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dtype=self.dtype,
            name="MultiHeadDotProductAttention_0",
        )(y, y, train, angles)
        y = nn.Dropout(self.dropout_rate, name="dropout")(y, deterministic=not train)
        x = x + self._branch(y, 0, train)
        y = norm(x, name="LayerNorm_1")
        y = MlpBlock(
            self.mlp_dim,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
            name="MlpBlock_0",
        )(y, train)
        x = x + self._branch(y, 1, train)
        return with_logical_constraint(x, ("batch", "tokens", "embed"))

    def _branch(self, y: Float[Array, "b n d"], index: int, train: bool) -> jax.Array:
        """What is done to a residual branch before it is added."""
        if self.layer_scale_init is not None:
            name = f"LayerScale_{index}"
            y = LayerScale(self.layer_scale_init, self.dtype, name=name)(y)
        return StochasticDepth(
            self.stochastic_depth_rate,
            self.stochastic_depth_rescale,
            name=f"stochastic_depth_{index}",
        )(y, train)


class Encoder(nn.Module):
    """Position embedding, the blocks, and the norm around them.

    Attributes:
        num_layers: l, the number of blocks.
        num_heads: k, for the width of a head in ``rope2d``.
        make_block: makes a block from its ``stochastic_depth_rate`` and ``name``.
        posemb: one of `posemb.POSEMBS`.
        posemb_prefix: see `posemb`.
        pre_norm: a LayerNorm before the first block, as CLIP has (arXiv:2103.00020,
            section 2.4).
        final_norm: a LayerNorm after the last; off where it follows the pooling.
    """

    num_layers: int
    num_heads: int
    make_block: Callable[..., nn.Module]
    posemb: str = "learned"
    posemb_prefix: bool = True
    pre_norm: bool = False
    final_norm: bool = True
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], grid: tuple[int, int], train: bool
    ) -> Float[Array, "b n d"]:
        norm = functools.partial(
            layer_norm, epsilon=self.layer_norm_epsilon, dtype=self.dtype
        )
        angles = None
        if self.posemb in ADDED:
            x = PositionEmbedding(
                self.posemb, self.posemb_prefix, self.dtype, name="posembed_input"
            )(x, grid)
        elif self.posemb == "rope2d":
            num_prefix = x.shape[1] - grid[0] * grid[1]
            head_dim = x.shape[-1] // self.num_heads
            angles = jnp.asarray(rope2d_angles(grid, head_dim, num_prefix))
        x = nn.Dropout(self.dropout_rate, name="dropout")(x, deterministic=not train)
        if self.pre_norm:
            x = norm(x, name="pre_norm")
        x = with_logical_constraint(x, ("batch", "tokens", "embed"))
        for i in range(self.num_layers):
            rate = stochastic_depth_rate(self.stochastic_depth_rate, i, self.num_layers)
            block = self.make_block(
                stochastic_depth_rate=rate, name=f"encoderblock_{i}"
            )
            x = block(x, train, angles)
            self.sow("intermediates", f"block_{i}", x)
        if self.final_norm:
            x = norm(x, name="encoder_norm")
        self.sow("intermediates", "encoded", x)
        return x
