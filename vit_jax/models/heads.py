"""From tokens to one vector per image, and on to logits."""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.models.attention import Attention
from vit_jax.models.mlp import MlpBlock
from vit_jax.models.norm import layer_norm

# token: the class token. gap: the mean of the patches. map: attention of a learned
# probe to the patches. unpooled, token_unpooled: no pooling, every token its logits.
CLASSIFIERS = ("token", "gap", "map", "unpooled", "token_unpooled")
WITH_CLASS_TOKEN = ("token", "token_unpooled")

# Zero at the start: every class is equally likely whatever the features are.
Head = functools.partial(nn.Dense, kernel_init=nn.initializers.zeros)


def pool_tokens(
    tokens: Float[Array, "b n d"], classifier: str, num_prefix: int
) -> Float[Array, "b *n d"]:
    """Returns the class token [b d], the mean patch [b d], or the tokens [b n d].

    Registers are no output: they are left out (arXiv:2309.16588, section 2.2).

    Args:
        tokens: class token first, patches last.
        classifier: one of CLASSIFIERS, but for ``map``.
        num_prefix: tokens before the patches.
    """
    match classifier:
        case "token":
            return tokens[:, 0]
        case "gap":
            return tokens[:, num_prefix:].mean(axis=1)
        case "unpooled":
            return tokens[:, num_prefix:]
        case "token_unpooled":
            return jnp.concatenate([tokens[:, :1], tokens[:, num_prefix:]], axis=1)
    raise ValueError(
        f'classifier must be one of {", ".join(CLASSIFIERS)}, got "{classifier}"'
    )


class MAPHead(nn.Module):
    """Multi-head attention pooling: [b n d] -> [b d].

    A learned query attends to the tokens; an MLP with its residual follows, and no
    norm after it. Zhai et al. 2022 (arXiv:2106.04560), section 3.2, after the Set
    Transformer (arXiv:1810.00825). Parameters are named as in big_vision.
    """

    num_heads: int
    mlp_dim: int
    activation: str = "gelu_tanh"
    layer_norm_epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b n d"], train: bool
    ) -> Float[Array, "b d"]:
        batch, _, width = tokens.shape
        init = nn.initializers.xavier_uniform()
        probe = self.param("probe", init, (1, 1, width)).astype(self.dtype)
        x = Attention(
            self.num_heads, dtype=self.dtype, name="MultiHeadDotProductAttention_0"
        )(jnp.broadcast_to(probe, (batch, 1, width)), tokens, train)
        y = layer_norm(
            x, epsilon=self.layer_norm_epsilon, dtype=self.dtype, name="LayerNorm_0"
        )
        x = x + MlpBlock(
            self.mlp_dim, self.activation, dtype=self.dtype, name="MlpBlock_0"
        )(y, train)
        return x[:, 0]
