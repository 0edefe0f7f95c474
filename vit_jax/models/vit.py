"""The Vision Transformer: Dosovitskiy et al. 2021 (arXiv:2010.11929), and its towers."""

import functools

import jax
import jax.numpy as jnp
from einops import rearrange, repeat
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.models.encoder import Encoder, EncoderBlock
from vit_jax.models.heads import WITH_CLASS_TOKEN, Head, MAPHead, pool_tokens
from vit_jax.models.norm import layer_norm
from vit_jax.models.patches import patch_embedding


class ViT(nn.Module):
    """Images to logits; the defaults are the original's.

    The fields, but for two, are those of `vit_jax.config.ModelConfig`, which explains
    them. Parameters are float32; the features after the pooling and the logits are
    computed in float32 too.

    Intermediates, where that collection is mutable: ``patch_embedding`` [b y x d];
    ``Transformer/block_{i}`` and, after the last norm, ``Transformer/encoded``
    [b n d], prefix first: class token, distillation token, registers, patches;
    ``features`` (what the head sees); with a distillation token, ``head_logits`` and
    ``head_dist_logits``.

    Attributes:
        num_classes: y. None: no head, the output is the features.
        dtype: of the computation.
    """

    num_classes: int | None
    patch_size: tuple[int, int]
    hidden_size: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    classifier: str = "token"
    representation_size: int | None = None
    posemb: str = "learned"
    posemb_prefix: bool = True
    patch_bias: bool = True
    num_registers: int = 0
    distillation_token: bool = False
    pre_norm: bool = False
    fc_norm: bool = False
    qk_norm: bool = False
    activation: str = "gelu_tanh"
    layer_scale_init: float | None = None
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    stochastic_depth_rescale: bool = True
    head_bias_init: float = 0.0
    scan: bool = False
    remat: str = "none"
    attention: str = "xla"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b *n y"]:
        """Returns logits [b y]; [b n y] where the classifier does not pool."""
        patches = patch_embedding(
            self.hidden_size,
            self.patch_size,
            use_bias=self.patch_bias,
            dtype=self.dtype,
            name="embedding",
        )(self.stem(images))
        self.sow("intermediates", "patch_embedding", patches)
        tokens = self._with_prefix(rearrange(patches, "b y x d -> b (y x) d"))
        tokens = Encoder(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            make_block=self._make_block(),
            posemb=self.posemb,
            posemb_prefix=self.posemb_prefix,
            pre_norm=self.pre_norm,
            final_norm=not self.fc_norm,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dropout_rate=self.dropout_rate,
            stochastic_depth_rate=self.stochastic_depth_rate,
            scan=self.scan,
            remat=self.remat,
            dtype=self.dtype,
            name="Transformer",
        )(tokens, (patches.shape[1], patches.shape[2]), train)
        features = self._features(tokens, train)
        self.sow("intermediates", "features", features)
        if self.num_classes is None:
            return features
        bias_init = nn.initializers.constant(self.head_bias_init)
        head = functools.partial(Head, self.num_classes, bias_init=bias_init)
        if not self.distillation_token:
            return head(name="head")(features)
        # DeiT (arXiv:2012.12877), section 4: each token has a head, trained by its own
        # loss. The prediction is the mean of their logits, as in the released code.
        logits = head(name="head")(tokens[:, 0].astype(jnp.float32))
        dist_logits = head(name="head_dist")(tokens[:, 1].astype(jnp.float32))
        self.sow("intermediates", "head_logits", logits)
        self.sow("intermediates", "head_dist_logits", dist_logits)
        return (logits + dist_logits) / 2

    def stem(self, images: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        """What the patches are cut from: the images; a hybrid's feature map."""
        return images

    @property
    def num_prefix(self) -> int:
        """How many tokens stand before the patches."""
        has_class_token = self.classifier in WITH_CLASS_TOKEN
        return has_class_token + self.distillation_token + self.num_registers

    def _with_prefix(self, patches: Float[Array, "b n d"]) -> Float[Array, "b m d"]:
        """Puts the class token, distillation token and registers before the patches."""
        zeros, normal = nn.initializers.zeros, nn.initializers.normal
        prefix = (
            ("cls", self.classifier in WITH_CLASS_TOKEN, zeros),
            # Not zero too, or nothing would tell it from the class token.
            ("dist", self.distillation_token, normal(stddev=0.02)),
            # Darcet et al. 2024 (arXiv:2309.16588); the spread is DINOv2's.
            ("registers", self.num_registers, normal(stddev=1e-6)),
        )
        tokens = [
            repeat(
                self.param(name, init, (1, int(number), self.hidden_size)),
                "1 n d -> b n d",
                b=len(patches),
            ).astype(patches.dtype)
            for name, number, init in prefix
            if number
        ]
        return jnp.concatenate([*tokens, patches], axis=1)

    def _make_block(self) -> functools.partial[EncoderBlock]:
        return functools.partial(
            EncoderBlock,
            num_heads=self.num_heads,
            mlp_dim=self.mlp_dim,
            activation=self.activation,
            qk_norm=self.qk_norm,
            relative=self.posemb == "relative",
            layer_scale_init=self.layer_scale_init,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.attention_dropout_rate,
            stochastic_depth_rescale=self.stochastic_depth_rescale,
            attention=self.attention,
            dtype=self.dtype,
        )

    def _features(self, tokens: Float[Array, "b n d"], train: bool) -> jax.Array:
        """What the head sees, in float32."""
        if self.classifier == "map":
            x = MAPHead(
                self.num_heads,
                self.mlp_dim,
                activation=self.activation,
                layer_norm_epsilon=self.layer_norm_epsilon,
                dtype=self.dtype,
                name="MAPHead_0",
            )(tokens[:, self.num_prefix :], train)
        elif self.distillation_token:
            x = tokens[:, :2].mean(axis=1)
        else:
            x = pool_tokens(tokens, self.classifier, self.num_prefix)
        x = x.astype(jnp.float32)
        if self.fc_norm:
            epsilon = self.layer_norm_epsilon
            x = layer_norm(x, name="fc_norm", epsilon=epsilon, dtype=jnp.float32)
        if self.representation_size is not None:
            x = jnp.tanh(nn.Dense(self.representation_size, name="pre_logits")(x))
        return x


# Which logical axis each dimension of each parameter is: the end of its path, in whole
# names, first match first.
AXES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    ("embedding/kernel", ("patch_h", "patch_w", "channels", "embed")),
    ("embedding/bias", ("embed",)),
    ("cls", (None, None, "embed")),
    ("dist", (None, None, "embed")),
    ("registers", (None, None, "embed")),
    ("pos_embedding", (None, "tokens", "embed")),
    ("pos_embedding_rows", (None, "tokens", None)),
    ("pos_embedding_columns", (None, "tokens", None)),
    ("relative_embedding", (None, "head_dim")),
    *(
        (f"{name}/{parameter}", axes)
        for name in ("query", "key", "value")
        for parameter, axes in (
            ("kernel", ("embed", "heads", "head_dim")),
            ("bias", ("heads", "head_dim")),
        )
    ),
    *(
        (f"{name}/{parameter}", ("head_dim",))
        for name in ("query_ln", "key_ln")
        for parameter in ("scale", "bias")
    ),
    ("out/kernel", ("heads", "head_dim", "embed")),
    ("out/bias", ("embed",)),
    ("MlpBlock_0/Dense_0/kernel", ("embed", "mlp")),
    ("MlpBlock_0/Dense_0/bias", ("mlp",)),
    ("MlpBlock_0/Dense_1/kernel", ("mlp", "embed")),
    ("MlpBlock_0/Dense_1/bias", ("embed",)),
    ("MAPHead_0/probe", (None, None, "embed")),
    ("pre_logits/kernel", ("embed", None)),
    ("pre_logits/bias", (None,)),
    ("head/kernel", ("embed", "classes")),
    ("head/bias", ("classes",)),
    ("head_dist/kernel", ("embed", "classes")),
    ("head_dist/bias", ("classes",)),
    # The norms and LayerScale.
    ("scale", ("embed",)),
    ("bias", ("embed",)),
)
