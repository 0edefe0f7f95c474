"""Stochastic depth: whom it drops, what it leaves, and how it grows."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import OPTIONS, apply, flat, random_images, random_params
from vit_jax.models.residual import LayerScale, StochasticDepth, stochastic_depth_rate


def drop(rate: float, rescale: bool, train: bool) -> np.ndarray:
    x = jnp.ones((4000, 2, 3))
    rngs = {"dropout": jax.random.key(0)}
    out: Any = StochasticDepth(rescale).apply({}, x, train, rate, rngs=rngs)
    return np.asarray(out)


@pytest.mark.parametrize(("rescale", "kept"), [(True, 1 / 0.7), (False, 1.0)])
def test_examples_are_dropped_whole(rescale: bool, kept: float) -> None:
    out = drop(0.3, rescale, train=True)
    assert (out == out[:, :1, :1]).all()
    values = out[:, 0, 0]
    np.testing.assert_allclose(np.unique(values), [0, kept], rtol=1e-6)
    assert abs((values == 0).mean() - 0.3) < 0.03
    # Rescaled, the mean over training is that of evaluation.
    assert abs(values.mean() - (1 if rescale else 0.7)) < 0.05


@pytest.mark.parametrize("rescale", [True, False])
def test_evaluation_changes_nothing(rescale: bool) -> None:
    np.testing.assert_array_equal(drop(0.3, rescale, train=False), 1)
    np.testing.assert_array_equal(drop(0.0, rescale, train=True), 1)


def test_rate_is_linear_over_depth() -> None:
    rates = [stochastic_depth_rate(0.3, i, 4) for i in range(4)]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3])
    assert stochastic_depth_rate(0.3, 0, 1) == 0


def test_layer_scale_starts_at_its_value() -> None:
    x = jnp.ones((1, 2, 3))
    out: Any = LayerScale(1e-5, jnp.float32).init_with_output(jax.random.key(0), x)[0]
    np.testing.assert_allclose(out, 1e-5)


@pytest.mark.parametrize("option", ["plain", "mixer"])
def test_the_last_layer_of_a_model_drops(option: str) -> None:
    """Rate near 1: no example passes the last block, every one the first."""
    config = dataclasses.replace(
        OPTIONS[option], stochastic_depth_rate=0.999999, stochastic_depth_rescale=False
    )
    params, images = random_params(OPTIONS[option]), random_images()
    rngs = {"dropout": jax.random.key(0)}
    first, second = blocks(config, params, images, train=True, rngs=rngs)
    np.testing.assert_array_equal(first, second)
    first_evaluated, second_evaluated = blocks(config, params, images)
    np.testing.assert_allclose(first, first_evaluated, atol=1e-5)
    assert jnp.abs(second_evaluated - first_evaluated).max() > 0.01


def blocks(*args: Any, **kwargs: Any) -> list[jax.Array]:
    """Returns the outputs of the first and the second block."""
    state = apply(*args, **kwargs, mutable="intermediates")[1]
    found = {path.split("/")[-1]: v for path, v in flat(state["intermediates"]).items()}
    return [found["block_0"][0], found["block_1"][0]]
