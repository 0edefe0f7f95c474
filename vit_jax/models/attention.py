"""Multi-head attention, whose implementations are all called through `attend`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models import posemb
from vit_jax.models.dimensions import known
from vit_jax.models.norm import layer_norm, list_norm_axes

# xla: the products and the softmax written below, which XLA compiles for any device.
# cudnn: NVIDIA's fused kernel (Dao et al. 2022, arXiv:2205.14135), through
# jax.nn.dot_product_attention; the weights are never an array in memory.
IMPLEMENTATIONS = ("xla", "cudnn")
CUDNN_HEAD = 128  # the widest head that it supports on every GPU


def attention_weights(
    q: Float[Array, "b n k e"],
    k: Float[Array, "b s k e"],
    bias: Float[Array, "b k n s"] | None = None,
) -> Float[Array, "b k n s"]:
    """Returns ``softmax(q k^T / sqrt(e) + bias)`` in float32; a row sums to 1.

    Args: as for `attend`.
    """
    # Scaled before the product, as flax does: the published numbers round that way.
    q = q / jnp.sqrt(q.shape[-1]).astype(q.dtype)
    logits = jnp.einsum("bnke,bske->bkns", q, k).astype(jnp.float32)
    if bias is not None:
        logits = logits + bias.astype(jnp.float32)
    return jax.nn.softmax(logits, axis=-1)


def attend(
    q: Float[Array, "b n k e"],
    k: Float[Array, "b s k e"],
    v: Float[Array, "b s k e"],
    *,
    bias: Float[Array, "b k n s"] | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = True,
    dropout_rng: PRNGKeyArray | None = None,
    impl: str = "xla",
    lengths: tuple[int, int] | None = None,
) -> Float[Array, "b n k e"]:
    """Returns ``softmax(q k^T / sqrt(e) + bias) v`` (arXiv:2010.11929, appendix A).

    The softmax is computed in float32 whatever the dtype of ``q``; the weights are
    cast back before they meet ``v``.

    Args:
        q, k, v: queries of n tokens, keys and values of s tokens, in k heads.
        bias: added to the scaled logits.
        dropout_rate: fraction of the weights that are set to 0; the others are scaled up.
        deterministic: True turns dropout off.
        dropout_rng: the key for dropout; required if any weight may be dropped.
        impl: one of `IMPLEMENTATIONS`.
        lengths: how many of the queries, and of the keys, are no padding; cudnn only.
    """
    dropped = dropout_rate > 0 and not deterministic
    if impl == "cudnn":
        assert not dropped, "checked with the config"
        lengths = lengths or (q.shape[1], k.shape[1])
        return _attend_fused(q, k, v, bias, lengths)
    assert impl == "xla", impl
    assert lengths is None
    weights = attention_weights(q, k, bias).astype(q.dtype)
    if dropped:
        assert dropout_rng is not None
        keep = jax.random.bernoulli(dropout_rng, 1 - dropout_rate, weights.shape)
        weights = jnp.where(keep, weights / (1 - dropout_rate), 0)
    return jnp.einsum("bkns,bske->bnke", weights, v)


def _attend_fused(
    q: Float[Array, "b n k e"],
    k: Float[Array, "b s k e"],
    v: Float[Array, "b s k e"],
    bias: Float[Array, "b k n s"] | None,
    lengths: tuple[int, int],
) -> Float[Array, "b n k e"]:
    """Asks cuDNN, in even numbers of tokens; the kernel skips what is padding.

    JAX refuses to differentiate it for odd ones (seen in 0.7 to 0.12, "Unsupported
    sequence length"), and 14 x 14 patches with a class token are 197.
    """
    batch, n, s = q.shape[0], q.shape[1], k.shape[1]
    if bias is not None:
        bias = jnp.pad(bias, ((0, 0), (0, 0), (0, n % 2), (0, s % 2)))
    q, k, v = pad_to_even(q), pad_to_even(k), pad_to_even(v)
    told: dict[str, Any] = {}
    if lengths != (q.shape[1], k.shape[1]):
        names = ("query_seq_lengths", "key_value_seq_lengths")
        told = {
            name: jnp.full((batch,), length, jnp.int32)
            for name, length in zip(names, lengths, strict=True)
        }
    out = jax.nn.dot_product_attention(q, k, v, bias, implementation="cudnn", **told)
    return out[:, :n]


def pad_to_even(x: Float[Array, "b n *d"]) -> Float[Array, "b m *d"]:
    """Appends a token of zeros to an odd number of them."""
    return jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), *[(0, 0)] * (x.ndim - 2)))


class Attention(nn.Module):
    """Multi-head attention of queries to keys_values; parameters as flax names them.

    If the collection ``attention`` is mutable, ``weights`` [b k n s] are sown into it.
    They are computed for that purpose only: the fast path never makes them an array.

    The config's ``num_heads`` must divide the width; ``qk_norm`` is a LayerNorm over the
    width of a head on queries and keys, before the product (arXiv:2302.05442, section 2);
    a ``posemb`` may rotate queries and keys, or add a bias to the logits.
    """

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        queries: Float[Array, "b n d"],
        keys_values: Float[Array, "b s d"],
        train: bool,
        angles: Float[Array, "n f"] | None = None,
    ) -> Float[Array, "b n d"]:
        config, width = self.config, queries.shape[-1]
        make_bias = posemb.POSEMBS[config.posemb].make_bias
        lengths = None
        if config.attention == "cudnn" and make_bias is None:
            # Here the padding is written with the norm before, and costs next to
            # nothing; in `attend` queries, keys and values would be copied for it.
            lengths = queries.shape[1], keys_values.shape[1]
            queries, keys_values = pad_to_even(queries), pad_to_even(keys_values)
            if angles is not None:
                angles = jnp.pad(angles, ((0, lengths[0] % 2), (0, 0)))
        dense = functools.partial(
            nn.DenseGeneral,
            kernel_init=nn.initializers.xavier_uniform(),
            dtype=config.dtype,
        )
        heads = (known(config.num_heads), width // known(config.num_heads))
        q = dense(heads, name="query")(queries)
        k = dense(heads, name="key")(keys_values)
        v = dense(heads, name="value")(keys_values)
        if config.qk_norm:
            norm = functools.partial(
                layer_norm, epsilon=config.layer_norm_epsilon, dtype=config.dtype
            )
            q, k = norm(q, name="query_ln"), norm(k, name="key_ln")
        if angles is not None:
            q, k = posemb.rotate(q, angles), posemb.rotate(k, angles)
        bias = make_bias(self, q) if make_bias else None
        if self.is_mutable_collection("attention") and not self.is_initializing():
            n, s = lengths or (q.shape[1], k.shape[1])
            weights = attention_weights(q[:, :n], k[:, :s], bias)
            self.sow("attention", "weights", weights)
        dropped = train and config.attention_dropout_rate > 0
        x = attend(
            q,
            k,
            v,
            bias=bias,
            dropout_rate=config.attention_dropout_rate,
            deterministic=not train,
            dropout_rng=self.make_rng("dropout") if dropped else None,
            impl=config.attention,
            lengths=lengths,
        )
        x = dense(width, axis=(-2, -1), name="out")(x)
        return x if lengths is None else x[:, : lengths[0]]


AXES: Axes = (
    *(
        (f"{name}/{parameter}", axes)
        for name in ("query", "key", "value")
        for parameter, axes in (
            ("kernel", ("embed", "heads", "head_dim")),
            ("bias", ("heads", "head_dim")),
        )
    ),
    ("out/kernel", ("heads", "head_dim", "embed")),
    ("out/bias", ("embed",)),
    *list_norm_axes("query_ln", "key_ln", axis="head_dim"),
)
