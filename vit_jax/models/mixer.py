"""MLP-Mixer: Tolstikhin et al. 2021 (arXiv:2105.01601)."""

import functools

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.mesh.constraints import constrain
from vit_jax.models.heads import Head
from vit_jax.models.layers import run_layers
from vit_jax.models.norm import layer_norm
from vit_jax.models.patches import patch_embedding
from vit_jax.models.residual import StochasticDepth


class MlpMixer(nn.Module):
    """Images to logits: MLPs across the patches in turn with MLPs across the features.

    The number of patches is in the parameters, so that an image of another size needs
    other weights. Fields as `vit_jax.config.ModelConfig`. Intermediates: ``block_{i}``
    and, after the last norm, ``encoded`` [b n d]; ``features`` [b d].

    Attributes:
        num_classes: y. None: no head, the output is the features.
        mlp_dim: D_C of the paper's table 1, across the features.
        tokens_mlp_dim: D_S, across the patches.
        dtype: of the computation; parameters, features and logits are float32.
    """

    num_classes: int | None
    patch_size: tuple[int, int]
    hidden_size: int
    num_layers: int
    mlp_dim: int
    tokens_mlp_dim: int
    stochastic_depth_rate: float = 0.0
    stochastic_depth_rescale: bool = True
    head_bias_init: float = 0.0
    scan: bool = False
    remat: str = "none"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b y"]:
        """Returns logits, or the features where there are no classes."""
        x = patch_embedding(
            self.hidden_size,
            self.patch_size,
            use_bias=True,
            dtype=self.dtype,
            name="stem",
        )(images)
        x = rearrange(x, "b y x d -> b (y x) d")
        x = run_layers(
            self,
            functools.partial(
                MixerBlock,
                self.mlp_dim,
                self.tokens_mlp_dim,
                self.stochastic_depth_rescale,
                self.dtype,
            ),
            lambda block, x, rate: block(x, train, rate),
            x,
            name="MixerBlock",
            num_layers=self.num_layers,
            rate=self.stochastic_depth_rate,
            scan=self.scan,
            remat=self.remat,
        )
        x = layer_norm(x, dtype=self.dtype, name="pre_head_layer_norm")
        self.sow("intermediates", "encoded", x)
        x = x.mean(axis=1).astype(jnp.float32)
        self.sow("intermediates", "features", x)
        if self.num_classes is None:
            return x
        bias_init = nn.initializers.constant(self.head_bias_init)
        return Head(self.num_classes, bias_init=bias_init, name="head")(x)


class MixerBlock(nn.Module):
    """One layer: equation 1 of the paper."""

    mlp_dim: int
    tokens_mlp_dim: int
    stochastic_depth_rescale: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        train: bool,
        rate: float | Float[Array, ""] = 0.0,
    ) -> Float[Array, "b n d"]:
        y = layer_norm(x, dtype=self.dtype, name="LayerNorm_0")
        y = rearrange(y, "b n d -> b d n")
        y = Mlp(self.tokens_mlp_dim, self.dtype, name="token_mixing")(y)
        y = rearrange(y, "b d n -> b n d")
        x = x + self._drop("stochastic_depth_0")(y, train, rate)
        y = layer_norm(x, dtype=self.dtype, name="LayerNorm_1")
        y = Mlp(self.mlp_dim, self.dtype, name="channel_mixing")(y)
        x = x + self._drop("stochastic_depth_1")(y, train, rate)
        # Every MLP over the tokens would have to gather them.
        return constrain(x, ("batch", None, "embed"))

    def _drop(self, name: str) -> StochasticDepth:
        return StochasticDepth(self.stochastic_depth_rescale, name=name)


class Mlp(nn.Module):
    """Mixes the last axis. Unlike a ViT's it starts from flax's own initialisers."""

    mlp_dim: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        y = nn.gelu(nn.Dense(self.mlp_dim, dtype=self.dtype, name="Dense_0")(x))
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="Dense_1")(y)


# See `vit.AXES`.
AXES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    ("stem/kernel", ("patch_h", "patch_w", "channels", "embed")),
    ("stem/bias", ("embed",)),
    ("token_mixing/Dense_0/kernel", ("tokens", "mlp")),
    ("token_mixing/Dense_0/bias", ("mlp",)),
    ("token_mixing/Dense_1/kernel", ("mlp", "tokens")),
    ("token_mixing/Dense_1/bias", ("tokens",)),
    ("channel_mixing/Dense_0/kernel", ("embed", "mlp")),
    ("channel_mixing/Dense_0/bias", ("mlp",)),
    ("channel_mixing/Dense_1/kernel", ("mlp", "embed")),
    ("channel_mixing/Dense_1/bias", ("embed",)),
    ("head/kernel", ("embed", "classes")),
    ("head/bias", ("classes",)),
    # The norms.
    ("scale", ("embed",)),
    ("bias", ("embed",)),
)
