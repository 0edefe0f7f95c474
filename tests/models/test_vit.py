"""The ViT as a whole: shapes, dtypes, initial values, dropout, leftovers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from tests.models.tiny import (
    OPTIONS,
    TINY,
    initialized,
    random_images,
    random_params,
    shapes,
)
from vit_jax import models
from vit_jax.config import ModelConfig


def apply(config: ModelConfig, params: Any, images: jax.Array, **kwargs: Any) -> Any:
    model = models.build(config, 5)
    kwargs = {"train": False} | kwargs
    return jax.jit(lambda p, x: model.apply({"params": p}, x, **kwargs))(params, images)


@pytest.mark.parametrize("option", OPTIONS)
def test_output_of_every_option(option: str) -> None:
    """Shape, float32 logits, float32 parameters; each parameter has a gradient."""
    config = OPTIONS[option]
    model = models.build(config, 5)

    def loss(params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        rngs = {"dropout": jax.random.key(3)}
        logits = model.apply({"params": params}, images, train=True, rngs=rngs)
        return (logits**2).sum(), logits

    grads, logits = jax.jit(jax.grad(loss, has_aux=True))(
        random_params(config), random_images()
    )
    tokens = {"unpooled": (9,), "token_unpooled": (10,)}.get(config.classifier, ())
    assert logits.shape == (2, *tokens, 5)
    assert logits.dtype == jnp.float32
    for path, grad in traverse_util.flatten_dict(grads, sep="/").items():
        assert grad.dtype == jnp.float32
        # A bias of the keys adds the same to all logits of a query: no gradient, but
        # where a norm follows.
        if not path.endswith("key/bias") or config.qk_norm:
            assert jnp.abs(grad).max() > 1e-7, path


def test_features_without_classes() -> None:
    rep = OPTIONS["gap_rep"]
    assert not any(path.startswith("head") for path in shapes(rep, None))
    features = jax.eval_shape(
        lambda: models.build(rep, None).apply(
            {"params": initialized(rep, None)}, random_images(), train=False
        )
    )
    assert features.shape == (2, 12)


@pytest.mark.parametrize("option", ["plain", "map", "hybrid", "mixer", "rope2d"])
def test_bfloat16_computes_the_same_roughly(option: str) -> None:
    config = OPTIONS[option]
    half = dataclasses.replace(config, dtype="bfloat16")
    assert {leaf.dtype for leaf in shapes(half).values()} == {jnp.dtype("float32")}
    params, images = random_params(config), random_images()
    expected = apply(config, params, images)
    logits, state = apply(half, params, images, mutable="intermediates")
    assert logits.dtype == jnp.float32
    flat = traverse_util.flatten_dict(state["intermediates"], sep="/")
    block = [value for path, value in flat.items() if path.endswith("block_1")]
    assert [value[0].dtype for value in block] == [jnp.bfloat16]
    assert jnp.abs(logits - expected).max() < 0.1 * jnp.abs(expected).max()


def test_patches_are_not_square() -> None:
    """Each token is its own patch's pixels times the kernel, row by row."""
    config = TINY(patch_size=(4, 8))
    images = random_images((2, 12, 32, 3))
    params = initialized(config, images=images.shape)
    assert params["embedding"]["kernel"].shape == (4, 8, 3, 16)
    state = apply(config, params, images, mutable="intermediates")[1]
    tokens = state["intermediates"]["patch_embedding"][0]
    assert tokens.shape == (2, 3, 4, 16)
    kernel = np.asarray(params["embedding"]["kernel"]).reshape(-1, 16)
    for y, x in np.ndindex(3, 4):
        patch = images[:, 4 * y : 4 * y + 4, 8 * x : 8 * x + 8].reshape(2, -1)
        np.testing.assert_allclose(tokens[:, y, x], patch @ kernel, atol=1e-5)


def test_rows_and_columns_left_over_are_dropped() -> None:
    config = OPTIONS["plain"]
    params, images = random_params(config), random_images((2, 31, 27, 3))
    np.testing.assert_allclose(
        apply(config, params, images),
        apply(config, params, images[:, :24, :24]),
        atol=1e-5,
    )


def test_initial_values() -> None:
    """As the original: what is zero, and the spread of the rest."""
    config = TINY(hidden_size=64, mlp_dim=128, num_layers=1, head_bias_init=-6.5)
    params = initialized(config)
    block = params["Transformer"]["encoderblock_0"]
    np.testing.assert_array_equal(params["cls"], 0)
    np.testing.assert_array_equal(params["head"]["kernel"], 0)
    np.testing.assert_array_equal(params["head"]["bias"], -6.5)
    table = params["Transformer"]["posembed_input"]["pos_embedding"]
    assert 0.017 < table.std() < 0.023
    attention = block["MultiHeadDotProductAttention_0"]
    np.testing.assert_array_equal(attention["query"]["bias"], 0)
    for name, fans in (("query", 64 + 64), ("out", 64 + 64)):
        limit = np.sqrt(6 / fans)
        largest = jnp.abs(attention[name]["kernel"]).max()
        assert 0.98 * limit < largest <= limit, name
    limit = np.sqrt(6 / (64 + 128))
    assert (
        0.98 * limit < jnp.abs(block["MlpBlock_0"]["Dense_0"]["kernel"]).max() <= limit
    )
    assert 0 < jnp.abs(block["MlpBlock_0"]["Dense_0"]["bias"]).max() < 1e-5
    # lecun_normal: variance 1 / (8 * 8 * 3).
    assert 0.9 < params["embedding"]["kernel"].std() * np.sqrt(192) < 1.1
    np.testing.assert_array_equal(apply(config, params, random_images()), -6.5)


def test_dropout_needs_a_key_only_in_training() -> None:
    config = OPTIONS["rates"]
    params, images = random_params(config), random_images()
    model = models.build(config, 5)
    train = jax.jit(
        lambda key: model.apply(
            {"params": params}, images, train=True, rngs={"dropout": key}
        )
    )
    first, second = train(jax.random.key(0)), train(jax.random.key(1))
    np.testing.assert_array_equal(first, train(jax.random.key(0)))
    assert jnp.abs(first - second).max() > 1e-3
    evaluated = apply(config, params, images)
    np.testing.assert_allclose(evaluated, apply(TINY(), params, images), atol=1e-6)
    with pytest.raises(Exception, match="dropout"):
        model.apply({"params": params}, images, train=True)


@pytest.mark.parametrize(
    "name", ["dropout_rate", "attention_dropout_rate", "stochastic_depth_rate"]
)
def test_each_rate_acts(name: str) -> None:
    config = TINY(**{name: 0.5})
    params, images = random_params(TINY()), random_images()
    trained = apply(
        config, params, images, train=True, rngs={"dropout": jax.random.key(0)}
    )
    assert jnp.abs(trained - apply(config, params, images)).max() > 1e-3


def test_registers_are_no_output() -> None:
    """The unpooled model has a class token and 9 patches to show, not 4 registers."""
    config = TINY(classifier="token_unpooled", num_registers=4)
    logits, state = apply(
        config, random_params(config), random_images(), mutable="intermediates"
    )
    encoded = state["intermediates"]["Transformer"]["encoded"][0]
    assert encoded.shape == (2, 1 + 4 + 9, 16)
    assert logits.shape == (2, 10, 5)
    features = state["intermediates"]["features"][0]
    np.testing.assert_array_equal(features[:, 0], encoded[:, 0])
    np.testing.assert_array_equal(features[:, 1:], encoded[:, 5:])
