"""`attend` against NumPy, and what the attention module adds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.attention import Attention, attend

KEYS = jax.random.split(jax.random.key(0), 4)
Q = jax.random.normal(KEYS[0], (2, 5, 3, 4))
K = jax.random.normal(KEYS[1], (2, 6, 3, 4))
V = jax.random.normal(KEYS[2], (2, 6, 3, 4))
BIAS = jax.random.normal(KEYS[3], (2, 3, 5, 6))


def by_loops(bias: np.ndarray | None) -> np.ndarray:
    q, k, v = (np.asarray(x, np.float64) for x in (Q, K, V))
    out = np.zeros(q.shape)
    for b, n, h in np.ndindex(q.shape[:3]):
        logits = k[b, :, h] @ q[b, n, h] / np.sqrt(4)
        if bias is not None:
            logits = logits + bias[b, h, n]
        weights = np.exp(logits) / np.exp(logits).sum()
        out[b, n, h] = weights @ v[b, :, h]
    return out


def test_attend() -> None:
    np.testing.assert_allclose(attend(Q, K, V), by_loops(None), atol=2e-6)
    biased = attend(Q, K, V, bias=BIAS)
    np.testing.assert_allclose(biased, by_loops(np.asarray(BIAS)), atol=2e-6)


def test_attend_in_bfloat16_keeps_its_dtype() -> None:
    half = [x.astype(jnp.bfloat16) for x in (Q, K, V)]
    out = attend(*half, bias=BIAS.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    expected = by_loops(np.asarray(BIAS))
    np.testing.assert_allclose(out.astype(jnp.float32), expected, atol=0.05)


def test_dropout_of_the_weights() -> None:
    """With values 1, the output is the sum of the weights that were kept."""
    q, k = jnp.zeros((1, 50, 2, 4)), jnp.zeros((1, 40, 2, 4))
    out = attend(
        q,
        k,
        jnp.ones_like(k),
        dropout_rate=0.25,
        deterministic=False,
        dropout_rng=jax.random.key(0),
    )
    kept = np.asarray(out[..., 0]) * 40 * 0.75  # uniform weights of 1 / 40, scaled up
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-4)
    assert abs(kept.mean() / 40 - 0.75) < 0.02
    assert len(np.unique(np.round(kept))) > 5  # queries and heads by themselves
    untouched = attend(q, k, jnp.ones_like(k), dropout_rate=0.25, deterministic=True)
    np.testing.assert_allclose(untouched, 1, rtol=1e-6)


def test_unknown_implementation() -> None:
    with pytest.raises(ValueError, match='attention must be "xla", got "flash"'):
        attend(Q, K, V, impl="flash")


def test_qk_norm_makes_the_size_of_queries_and_keys_irrelevant() -> None:
    x = jax.random.normal(jax.random.key(1), (1, 7, 8))
    attention = Attention(num_heads=2, qk_norm=True)
    params: Any = attention.init(jax.random.key(2), x, x, False)["params"]
    assert params["query_ln"]["scale"].shape == (4,)
    scaled = dict(params)
    for name in ("query", "key"):
        scaled[name] = jax.tree.map(lambda p: 10 * p, params[name])
    a: Any = attention.apply({"params": params}, x, x, False)
    b: Any = attention.apply({"params": scaled}, x, x, False)
    np.testing.assert_allclose(a, b, atol=1e-4)
