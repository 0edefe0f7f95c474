"""Pooling, and the head that pools by attention."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import tiny
from vit_jax.models.heads import MAPHead, pool_tokens

TOKENS = jnp.arange(12.0).reshape(1, 6, 2)  # class token, one register, four patches


def test_pool_by_hand() -> None:
    np.testing.assert_array_equal(pool_tokens(TOKENS, "token", 2), [[0, 1]])
    np.testing.assert_array_equal(pool_tokens(TOKENS, "gap", 2), [[7, 8]])
    np.testing.assert_array_equal(pool_tokens(TOKENS, "gap", 0), [[5, 6]])
    np.testing.assert_array_equal(pool_tokens(TOKENS, "unpooled", 2), TOKENS[:, 2:])
    expected = [[[0, 1], [4, 5], [6, 7], [8, 9], [10, 11]]]
    np.testing.assert_array_equal(pool_tokens(TOKENS, "token_unpooled", 2), expected)


def test_unknown_pooling() -> None:
    with pytest.raises(ValueError, match=r'classifier must be one of .*, got "mean"'):
        pool_tokens(TOKENS, "mean", 0)


def test_map_head_does_not_see_the_order() -> None:
    head = MAPHead(tiny(num_heads=2, mlp_dim=8))
    tokens = jax.random.normal(jax.random.key(0), (2, 5, 4))
    params = head.init(jax.random.key(1), tokens, False)
    pooled: Any = head.apply(params, tokens, False)
    turned: Any = head.apply(params, tokens[:, ::-1], False)
    assert pooled.shape == (2, 4)
    np.testing.assert_allclose(turned, pooled, atol=1e-6)
