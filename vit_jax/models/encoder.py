"""The pre-norm Transformer encoder."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vit_jax.config import ModelConfig
from vit_jax.config.choices import POSEMBS
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import Axes
from vit_jax.mesh.constraints import constrain
from vit_jax.models import attention, mlp, posemb
from vit_jax.models.attention import Attention
from vit_jax.models.dimensions import Grid, require
from vit_jax.models.layers import run_layers
from vit_jax.models.mlp import MlpBlock
from vit_jax.models.norm import layer_norm, list_norm_axes
from vit_jax.models.posemb import PositionEmbedding
from vit_jax.models.residual import LayerScale, StochasticDepth


class EncoderBlock(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``.

    Dosovitskiy et al. 2021 (arXiv:2010.11929), equations 2 and 3. ``rate`` is this
    layer's stochastic depth.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        train: bool,
        rate: float | Float[Array, ""] = 0.0,
        angles: Float[Array, "n f"] | None = None,
    ) -> Float[Array, "b n d"]:
        config = self.config
        norm = functools.partial(
            layer_norm, epsilon=config.layer_norm_epsilon, dtype=config.dtype
        )
        y = norm(x, name="LayerNorm_0")
        attend = Attention(config, name="MultiHeadDotProductAttention_0")
        y = attend(y, y, train, angles)
        y = nn.Dropout(config.dropout_rate, name="dropout")(y, deterministic=not train)
        x = x + self._branch(y, 0, train, rate)
        y = norm(x, name="LayerNorm_1")
        y = MlpBlock(config, name="MlpBlock_0")(y, train)
        x = x + self._branch(y, 1, train, rate)
        return constrain(x, ("batch", "tokens", "embed"))

    def _branch(self, y: Any, index: int, train: bool, rate: Any) -> jax.Array:
        """What is done to a residual branch before it is added."""
        config = self.config
        if config.layer_scale_init is not None:
            name = f"LayerScale_{index}"
            y = LayerScale(config.layer_scale_init, config.dtype, name=name)(y)
        return StochasticDepth(
            config.stochastic_depth_rescale, name=f"stochastic_depth_{index}"
        )(y, train, rate)


class Encoder(nn.Module):
    """Position embedding, the blocks, and the norm around them.

    With ``config.pre_norm`` there is a LayerNorm before the first block, as CLIP has
    (arXiv:2103.00020, section 2.4); with ``fc_norm`` there is none after the last.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        grid: Grid,
        train: bool,
        keep_tokens: Int[Array, "b m"] | None = None,
    ) -> Float[Array, "b p d"]:
        config = self.config
        norm = functools.partial(
            layer_norm, epsilon=config.layer_norm_epsilon, dtype=config.dtype
        )
        kind, angles = POSEMBS.resolve(config.posemb), None
        if kind.make_table is not None:
            x = PositionEmbedding(config, name="posembed_input")(x, grid)
        if kind.make_angles is not None:
            num_prefix = x.shape[1] - grid[0] * grid[1]
            head_dim = x.shape[-1] // require(config.num_heads)
            angles = jnp.asarray(kind.make_angles(grid, head_dim, num_prefix))
        if keep_tokens is not None:
            check_selectable(config)
            x = select_patches(x, keep_tokens, grid)
        x = nn.Dropout(config.dropout_rate, name="dropout")(x, deterministic=not train)
        if config.pre_norm:
            x = norm(x, name="pre_norm")
        x = constrain(x, ("batch", "tokens", "embed"))
        x = run_layers(
            self,
            functools.partial(EncoderBlock, config),
            lambda block, x, rate: block(x, train, rate, angles),
            x,
            name="encoderblock",
            config=config,
        )
        if not config.fc_norm:
            x = norm(x, name="encoder_norm")
        self.sow("intermediates", "encoded", x)
        return x


def select_patches(
    x: Float[Array, "b n d"], keep: Int[Array, "b m"], grid: Grid
) -> Float[Array, "b k d"]:
    """Returns the tokens before the patches, and of the patches those that are kept.

    Masked pre-training encodes a part of each image (He et al. 2022, arXiv:2111.06377);
    positions are added before, so that a token knows where it was.
    """
    num_prefix = x.shape[1] - grid[0] * grid[1]
    kept = jnp.take_along_axis(x[:, num_prefix:], keep[:, :, None], axis=1)
    return jnp.concatenate([x[:, :num_prefix], kept], axis=1)


def check_selectable(config: ModelConfig) -> None:
    """Raises ConfigError where positions are not in the tokens, but in the attention."""
    kind = POSEMBS.resolve(config.posemb)
    if kind.make_angles is not None or kind.make_bias is not None:
        raise ConfigError(
            "config.model.posemb must be added to the tokens for some of them to be "
            f'dropped, got "{config.posemb}"; use learned'
        )


AXES: Axes = (
    *posemb.AXES,
    *list_norm_axes("pre_norm", "LayerNorm_0", "LayerNorm_1", "encoder_norm"),
    *attention.AXES,
    ("LayerScale_0/scale", ("embed",)),
    ("LayerScale_1/scale", ("embed",)),
    *mlp.AXES,
)
