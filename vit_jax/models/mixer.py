"""MLP-Mixer: Tolstikhin et al. 2021 (arXiv:2105.01601)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.mesh.axes import Axes
from vit_jax.mesh.constraints import constrain
from vit_jax.models.dimensions import require
from vit_jax.models.family import Family
from vit_jax.models.heads import Head
from vit_jax.models.inference import Inferred, Shapes, count_layers, name_variant
from vit_jax.models.layers import run_layers
from vit_jax.models.norm import layer_norm, list_norm_axes
from vit_jax.models.patches import PatchKernel, patch_embedding
from vit_jax.models.positions import FIXED, Positions
from vit_jax.models.residual import StochasticDepth


class MlpMixer(nn.Module):
    """Images to logits: MLPs across the patches in turn with MLPs across the features.

    The number of patches is in the parameters, so that an image of another size needs
    other weights. Parameters, features and logits are float32. Intermediates:
    ``block_{i}`` and, after the last norm, ``encoded`` [b n d]; ``features`` [b d].

    Attributes:
        config: resolved. ``mlp_dim`` is D_C of the paper's table 1, across the features;
            ``tokens_mlp_dim`` D_S, across the patches.
        num_classes: y. None: no head, the output is the features.
    """

    config: ModelConfig
    num_classes: int | None

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b y"]:
        """Returns logits, or the features where there are no classes."""
        config = self.config
        x = patch_embedding(
            require(config.hidden_size),
            require(config.patch_size),
            use_bias=True,
            dtype=config.dtype,
            name="stem",
        )(images)
        x = rearrange(x, "b y x d -> b (y x) d")
        x = run_layers(
            self,
            functools.partial(MixerBlock, config),
            lambda block, x, rate: block(x, train, rate),
            x,
            name="MixerBlock",
            config=config,
        )
        x = layer_norm(x, dtype=config.dtype, name="pre_head_layer_norm")
        self.sow("intermediates", "encoded", x)
        x = x.mean(axis=1).astype(jnp.float32)
        self.sow("intermediates", "features", x)
        if self.num_classes is None:
            return x
        bias_init = nn.initializers.constant(config.head_bias_init)
        return Head(self.num_classes, bias_init=bias_init, name="head")(x)


class MixerBlock(nn.Module):
    """One layer: equation 1 of the paper."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        train: bool,
        rate: float | Float[Array, ""] = 0.0,
    ) -> Float[Array, "b n d"]:
        config, dtype = self.config, self.config.dtype
        y = layer_norm(x, dtype=dtype, name="LayerNorm_0")
        y = rearrange(y, "b n d -> b d n")
        y = Mlp(require(config.tokens_mlp_dim), dtype, name="token_mixing")(y)
        y = rearrange(y, "b d n -> b n d")
        x = x + self._drop("stochastic_depth_0")(y, train, rate)
        y = layer_norm(x, dtype=dtype, name="LayerNorm_1")
        y = Mlp(require(config.mlp_dim), dtype, name="channel_mixing")(y)
        x = x + self._drop("stochastic_depth_1")(y, train, rate)
        # Every MLP over the tokens would have to gather them.
        return constrain(x, ("batch", None, "embed"))

    def _drop(self, name: str) -> StochasticDepth:
        return StochasticDepth(self.config.stochastic_depth_rescale, name=name)


class Mlp(nn.Module):
    """Mixes the last axis. Unlike a ViT's it starts from flax's own initialisers."""

    mlp_dim: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        y = nn.gelu(nn.Dense(self.mlp_dim, dtype=self.dtype, name="Dense_0")(x))
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="Dense_1")(y)


def infer_mixer(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    """Returns the Mixer that has these arrays; see `families.infer_model`."""
    kernel = shapes.get("stem/kernel", 4)
    tokens = shapes.get("MixerBlock_0/token_mixing/Dense_0/kernel", 2)
    fields: dict[str, Any] = {
        "family": "mixer",
        "patch_size": kernel[:2],
        "hidden_size": kernel[3],
        "num_layers": count_layers(shapes, r"MixerBlock_(\d+)/", shapes.what),
        "mlp_dim": shapes.get("MixerBlock_0/channel_mixing/Dense_0/kernel", 2)[1],
        "tokens_mlp_dim": tokens[1],
    }
    fields |= {k: v for k, v in given.items() if v is not None}
    model = name_variant(ModelConfig(**fields))
    return Inferred(model, shapes.count_classes(), tokens[0])


AXES: Axes = (
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
    *list_norm_axes("LayerNorm_0", "LayerNorm_1", "pre_head_layer_norm"),
)
REQUIRED = ("patch_size", "hidden_size", "num_layers", "mlp_dim", "tokens_mlp_dim")

FAMILY = Family(
    module=MlpMixer,
    required=REQUIRED,
    fields=frozenset(REQUIRED)
    | {"stochastic_depth_rate", "stochastic_depth_rescale", "head_bias_init"}
    | {"dtype", "scan", "remat"},
    axes=AXES,
    marker="stem/kernel",
    infer=infer_mixer,
    describe_positions=lambda config: Positions(FIXED),
    patches=PatchKernel("stem/kernel"),
    count_prefix=lambda config: 0,
    has_attention=False,
    shards_tokens=False,
)
