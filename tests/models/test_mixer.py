"""Mixer mixes in both directions, and each where it should."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.models.tiny import OPTIONS, apply, random_images, random_params, shapes


def test_each_mlp_mixes_its_own_axis() -> None:
    """One patch changed: with the token MLP silent, only its own token changes."""
    config = OPTIONS["mixer"]
    params = random_params(config)
    images = random_images((1, 24, 24, 3))
    changed = images.at[:, :8, :8].add(0.5)

    def moved(params: Any) -> np.ndarray:
        both = jnp.concatenate([images, changed])
        state = apply(config, params, both, mutable="intermediates")[1]
        before, after = state["intermediates"]["block_1"][0]
        return np.asarray(jnp.abs(after - before).max(axis=1) > 1e-6)

    assert moved(params).all()
    silent = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 0 * leaf if "token_mixing" in str(path) else leaf, params
    )
    np.testing.assert_array_equal(moved(silent), np.arange(9) == 0)


def test_widths_of_the_two_mlps() -> None:
    found = shapes(OPTIONS["mixer"])
    kernel = "MixerBlock_1/{}_mixing/Dense_0/kernel"
    assert found[kernel.format("token")].shape == (9, 8)
    assert found[kernel.format("channel")].shape == (16, 24)
