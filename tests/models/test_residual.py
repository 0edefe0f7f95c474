"""Stochastic depth: whom it drops, what it leaves, and how it grows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import OPTIONS, random_images, random_params
from vit_jax import models
from vit_jax.models.residual import LayerScale, StochasticDepth, stochastic_depth_rate


def drop(rate: float, rescale: bool, train: bool) -> np.ndarray:
    x = jnp.ones((4000, 2, 3))
    rngs = {"dropout": jax.random.key(0)}
    return np.asarray(StochasticDepth(rate, rescale).apply({}, x, train, rngs=rngs))


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
    variables = LayerScale(1e-5, jnp.float32).init(
        jax.random.key(0), jnp.ones((1, 2, 3))
    )
    np.testing.assert_allclose(variables["params"]["scale"], np.full(3, 1e-5))


@pytest.mark.parametrize("option", ["plain", "mixer"])
def test_the_last_layer_of_a_model_drops(option: str) -> None:
    """Rate near 1: no example passes the last block, every one the first."""
    config = dataclasses.replace(
        OPTIONS[option], stochastic_depth_rate=0.999999, stochastic_depth_rescale=False
    )
    model, params = models.build(config, 5), random_params(OPTIONS[option])
    _, state = jax.jit(
        lambda params, images: model.apply(
            {"params": params},
            images,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable="intermediates",
        )
    )(params, random_images())
    blocks = state["intermediates"]
    blocks = blocks.get("Transformer", blocks)
    np.testing.assert_array_equal(blocks["block_0"][0], blocks["block_1"][0])
    evaluated = model.apply(
        {"params": params}, random_images(), train=False, mutable="intermediates"
    )[1]["intermediates"]
    evaluated = evaluated.get("Transformer", evaluated)
    np.testing.assert_allclose(blocks["block_0"][0], evaluated["block_0"][0], atol=1e-5)
    assert jnp.abs(evaluated["block_1"][0] - evaluated["block_0"][0]).max() > 0.01
