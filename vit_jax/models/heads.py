"""From tokens to one vector per image, and on to logits."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models.attention import Attention
from vit_jax.models.mlp import MlpBlock
from vit_jax.models.norm import layer_norm, list_norm_axes

# Initialized to zero, so that every class is equally likely for any features.
Head = functools.partial(nn.Dense, kernel_init=nn.initializers.zeros)


class MAPHead(nn.Module):
    """Multi-head attention pooling: [b n d] -> [b d].

    A learned query attends to the tokens; an MLP with its residual follows, and no
    norm after it. Zhai et al. 2022 (arXiv:2106.04560), section 3.2, after the Set
    Transformer (arXiv:1810.00825). Parameters are named as in big_vision, whose head has
    no dropout and none of the options of a block's attention.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b n d"], train: bool
    ) -> Float[Array, "b d"]:
        config, (batch, _, width) = self.config, tokens.shape
        init = nn.initializers.xavier_uniform()
        probe = self.param("probe", init, (1, 1, width)).astype(config.dtype)
        plain = ModelConfig(
            num_heads=config.num_heads,
            mlp_dim=config.mlp_dim,
            posemb="none",
            activation=config.activation,
            dtype=config.dtype,
        )
        x = Attention(plain, name="MultiHeadDotProductAttention_0")(
            jnp.broadcast_to(probe, (batch, 1, width)), tokens, train
        )
        epsilon = config.layer_norm_epsilon
        y = layer_norm(x, epsilon=epsilon, dtype=config.dtype, name="LayerNorm_0")
        return (x + MlpBlock(plain, name="MlpBlock_0")(y, train))[:, 0]


class Pooling(NamedTuple):
    """What the head sees: a row of `CLASSIFIERS`.

    Attributes:
        pool: ``(tokens [b n d], num_prefix, config, train) -> [b *n d]``; called inside
            the model's module, so that it may have parameters.
        has_class_token: whether there is one, before all other tokens.
    """

    pool: Callable[..., Any]
    has_class_token: bool = False


def _pool_by_attention(
    tokens: jax.Array, num_prefix: int, config: ModelConfig, train: bool
) -> jax.Array:
    return MAPHead(config, name="MAPHead_0")(tokens[:, num_prefix:], train)


def _keep_class_token(tokens: jax.Array, num_prefix: int, *_: Any) -> jax.Array:
    return jnp.concatenate([tokens[:, :1], tokens[:, num_prefix:]], axis=1)


# token: the class token. gap: the mean of the patches. map: attention of a learned
# probe to the patches. unpooled, token_unpooled: no pooling: logits for every token.
CLASSIFIERS: dict[str, Pooling] = {
    "token": Pooling(lambda tokens, *_: tokens[:, 0], has_class_token=True),
    "gap": Pooling(lambda tokens, prefix, *_: tokens[:, prefix:].mean(axis=1)),
    "map": Pooling(_pool_by_attention),
    "unpooled": Pooling(lambda tokens, prefix, *_: tokens[:, prefix:]),
    "token_unpooled": Pooling(_keep_class_token, has_class_token=True),
}


def pool_tokens(
    tokens: Float[Array, "b n d"],
    classifier: str,
    num_prefix: int,
    config: ModelConfig | None = None,
    train: bool = False,
) -> Float[Array, "b *n d"]:
    """Returns one vector per image [b d], or the tokens [b n d] where none is pooled.

    Registers are not outputs, and are left out (arXiv:2309.16588, section 2.2).

    Args:
        tokens: class token first, patches last.
        classifier: one of CLASSIFIERS.
        num_prefix: tokens before the patches.
        config: of the model, for a pooling that has parameters.
        train: whether dropout is on.

    Raises:
        ValueError: an unknown classifier.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(
            f'classifier must be one of {", ".join(CLASSIFIERS)}, got "{classifier}"'
        )
    return CLASSIFIERS[classifier].pool(tokens, num_prefix, config, train)


def needs_class_token(config: ModelConfig) -> bool:
    """Returns whether a ViT of this config has a class token."""
    return CLASSIFIERS[config.classifier].has_class_token


def count_prefix_tokens(config: ModelConfig) -> int:
    """Returns how many tokens of a ViT come before its patches."""
    return needs_class_token(config) + config.distillation_token + config.num_registers


AXES: Axes = (
    ("MAPHead_0/probe", (None, None, "embed")),
    *list_norm_axes("fc_norm"),
    ("pre_logits/kernel", ("embed", None)),
    ("pre_logits/bias", (None,)),
    *(
        (f"{name}/{parameter}", axes)
        for name in ("head", "head_dist")
        for parameter, axes in (
            ("kernel", ("embed", "classes")),
            ("bias", ("classes",)),
        )
    ),
)
