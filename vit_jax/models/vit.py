"""The Vision Transformer: Dosovitskiy et al. 2021 (arXiv:2010.11929), and its towers."""

import functools

import jax
import jax.numpy as jnp
from einops import rearrange, repeat
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models import encoder, heads
from vit_jax.models.dimensions import known
from vit_jax.models.encoder import Encoder
from vit_jax.models.family import CONFIG_FIELDS, Family
from vit_jax.models.heads import (
    Head,
    count_prefix_tokens,
    needs_class_token,
    pool_tokens,
)
from vit_jax.models.norm import layer_norm
from vit_jax.models.patches import AXES as PATCH_AXES
from vit_jax.models.patches import PatchKernel, patch_embedding
from vit_jax.models.posemb import POSEMBS
from vit_jax.models.positions import Positions
from vit_jax.models.vit_inference import infer_vit


class ViT(nn.Module):
    """Images to logits.

    Parameters are float32; the features after the pooling and the logits are computed in
    float32 too.

    Intermediates, where that collection is mutable: ``patch_embedding`` [b y x d];
    ``Transformer/block_{i}`` and, after the last norm, ``Transformer/encoded``
    [b n d], prefix first: class token, distillation token, registers, patches;
    ``features`` (what the head sees); with a distillation token, ``head_logits`` and
    ``head_dist_logits``.

    Attributes:
        config: resolved; `build_model` makes a module from any.
        num_classes: y. None: no head, the output is the features.
    """

    config: ModelConfig
    num_classes: int | None

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "b h w c"],
        *,
        train: bool,
        keep_tokens: Int[Array, "b m"] | None = None,
    ) -> Float[Array, "b *n y"]:
        """Returns logits [b y]; [b n y] where the classifier does not pool.

        ``keep_tokens`` are the patches of each image, counted in rows, that enter the
        blocks; see `encoder.select_patches`. None: all.
        """
        config = self.config
        patches = patch_embedding(
            known(config.hidden_size),
            known(config.patch_size),
            use_bias=config.patch_bias,
            dtype=config.dtype,
            name="embedding",
        )(self.stem(images))
        self.sow("intermediates", "patch_embedding", patches)
        tokens = self._with_prefix(rearrange(patches, "b y x d -> b (y x) d"))
        grid = (patches.shape[1], patches.shape[2])
        tokens = Encoder(config, name="Transformer")(tokens, grid, train, keep_tokens)
        features = self._features(tokens, train)
        self.sow("intermediates", "features", features)
        if self.num_classes is None:
            return features
        bias_init = nn.initializers.constant(config.head_bias_init)
        head = functools.partial(Head, self.num_classes, bias_init=bias_init)
        if not config.distillation_token:
            return head(name="head")(features)
        # DeiT (arXiv:2012.12877), section 4: each token has a head, trained by its own
        # loss. The prediction is the mean of their logits, as in the released code.
        logits = head(name="head")(tokens[:, 0].astype(jnp.float32))
        dist_logits = head(name="head_dist")(tokens[:, 1].astype(jnp.float32))
        self.sow("intermediates", "head_logits", logits)
        self.sow("intermediates", "head_dist_logits", dist_logits)
        return (logits + dist_logits) / 2

    def stem(self, images: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        """What is split into patches: the images; a hybrid's feature map."""
        return images

    def _with_prefix(self, patches: Float[Array, "b n d"]) -> Float[Array, "b m d"]:
        """Puts the class token, distillation token and registers before the patches."""
        config = self.config
        zeros, normal = nn.initializers.zeros, nn.initializers.normal
        prefix = (
            ("cls", needs_class_token(config), zeros),
            # Not zero as well, or it would equal the class token.
            ("dist", config.distillation_token, normal(stddev=0.02)),
            # Darcet et al. 2024 (arXiv:2309.16588); the spread is DINOv2's.
            ("registers", config.num_registers, normal(stddev=1e-6)),
        )
        tokens = [
            repeat(
                self.param(name, init, (1, int(number), known(config.hidden_size))),
                "1 n d -> b n d",
                b=len(patches),
            ).astype(patches.dtype)
            for name, number, init in prefix
            if number
        ]
        return jnp.concatenate([*tokens, patches], axis=1)

    def _features(self, tokens: Float[Array, "b n d"], train: bool) -> jax.Array:
        """What the head sees, in float32."""
        config = self.config
        if config.distillation_token:
            x = tokens[:, :2].mean(axis=1)
        else:
            num_prefix = count_prefix_tokens(config)
            x = pool_tokens(tokens, config.classifier, num_prefix, config, train)
        x = x.astype(jnp.float32)
        if config.fc_norm:
            epsilon = config.layer_norm_epsilon
            x = layer_norm(x, name="fc_norm", epsilon=epsilon, dtype=jnp.float32)
        if config.representation_size is not None:
            x = jnp.tanh(nn.Dense(config.representation_size, name="pre_logits")(x))
        return x


def describe_positions(config: ModelConfig) -> Positions:
    """Returns where the positions of the patches enter."""
    num_prefix = count_prefix_tokens(config) if config.posemb_prefix else 0
    return POSEMBS[config.posemb].describe(num_prefix)


# Which logical axis each dimension of each parameter is, by the end of its path in whole
# names. Each file has the rows of its own parameters; see `find_logical_axes`.
AXES: Axes = (
    *PATCH_AXES,
    ("cls", (None, None, "embed")),
    ("dist", (None, None, "embed")),
    ("registers", (None, None, "embed")),
    *encoder.AXES,
    *heads.AXES,
)
REQUIRED = ("patch_size", "hidden_size", "num_layers", "num_heads", "mlp_dim")
# A new field belongs to ViTs unless it is listed here; a test compares with what the
# module reads.
OF_OTHERS = {"resnet_layers", "resnet_width_factor", "tokens_mlp_dim"}

FAMILY = Family(
    module=ViT,
    required=REQUIRED,
    fields=frozenset(CONFIG_FIELDS) - OF_OTHERS,
    axes=AXES,
    marker="embedding/kernel",
    infer=infer_vit,
    describe_positions=describe_positions,
    patches=PatchKernel("embedding/kernel"),
    count_prefix=count_prefix_tokens,
)
