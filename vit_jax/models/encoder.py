"""The pre-norm Transformer encoder."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.mesh.constraints import constrain
from vit_jax.models.attention import Attention
from vit_jax.models.layers import run_layers
from vit_jax.models.mlp import MlpBlock
from vit_jax.models.norm import layer_norm
from vit_jax.models.posemb import ADDED, PositionEmbedding, rope2d_angles
from vit_jax.models.residual import LayerScale, StochasticDepth


class EncoderBlock(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Dosovitskiy et al. 2021 (arXiv:2010.11929), equations 2 and 3. The fields are those
    of `vit_jax.config.ModelConfig`; ``rate`` is this layer's stochastic depth.
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
    stochastic_depth_rescale: bool = True
    attention: str = "xla"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        train: bool,
        rate: float | Float[Array, ""] = 0.0,
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
            implementation=self.attention,
            dtype=self.dtype,
            name="MultiHeadDotProductAttention_0",
        )(y, y, train, angles)
        y = nn.Dropout(self.dropout_rate, name="dropout")(y, deterministic=not train)
        x = x + self._branch(y, 0, train, rate)
        y = norm(x, name="LayerNorm_1")
        y = MlpBlock(
            self.mlp_dim,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
            name="MlpBlock_0",
        )(y, train)
        x = x + self._branch(y, 1, train, rate)
        return constrain(x, ("batch", "tokens", "embed"))

    def _branch(self, y: Any, index: int, train: bool, rate: Any) -> jax.Array:
        """What is done to a residual branch before it is added."""
        if self.layer_scale_init is not None:
            name = f"LayerScale_{index}"
            y = LayerScale(self.layer_scale_init, self.dtype, name=name)(y)
        return StochasticDepth(
            self.stochastic_depth_rescale, name=f"stochastic_depth_{index}"
        )(y, train, rate)


class Encoder(nn.Module):
    """Position embedding, the blocks, and the norm around them.

    Attributes:
        num_layers: l, the number of blocks.
        num_heads: k, for the width of a head in ``rope2d``.
        make_block: makes a block from its ``name``.
        posemb: one of `posemb.POSEMBS`.
        posemb_prefix: see `posemb`.
        pre_norm: a LayerNorm before the first block, as CLIP has (arXiv:2103.00020,
            section 2.4).
        final_norm: a LayerNorm after the last; off where it follows the pooling.
        scan: see `layers`.
        remat: one of `layers.REMAT`.
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
    scan: bool = False
    remat: str = "none"
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
        x = constrain(x, ("batch", "tokens", "embed"))
        x = run_layers(
            self,
            self.make_block,
            lambda block, x, rate: block(x, train, rate, angles),
            x,
            name="encoderblock",
            num_layers=self.num_layers,
            rate=self.stochastic_depth_rate,
            scan=self.scan,
            remat=self.remat,
        )
        if self.final_norm:
            x = norm(x, name="encoder_norm")
        self.sow("intermediates", "encoded", x)
        return x
