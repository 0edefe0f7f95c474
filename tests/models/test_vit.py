"""The ViT as a whole: shapes, dtypes, initial values, dropout, leftovers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import (
    OPTIONS,
    apply,
    flat,
    initialized,
    random_images,
    random_params,
    shapes,
    tiny,
)
from vit_jax import models
from vit_jax.config import MeshConfig, ModelConfig
from vit_jax.mesh.constraints import bind_mesh
from vit_jax.mesh.sharding import make_mesh


@pytest.mark.parametrize("option", OPTIONS)
def test_output_of_every_option(option: str) -> None:
    """The shape, in training; the logits and parameters are float32."""
    config = OPTIONS[option]
    model = models.build_model(config, 5)
    logits = jax.eval_shape(
        lambda: model.init_with_output(
            {"params": jax.random.key(0), "dropout": jax.random.key(1)},
            random_images(),
            train=True,
        )
    )[0]
    tokens = {"unpooled": (9,), "token_unpooled": (10,)}.get(config.classifier, ())
    assert logits.shape == (2, *tokens, 5)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in shapes(config).values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "config",
    [
        tiny(distillation_token=True, posemb="learned2d", activation="swiglu"),
        tiny(classifier="gap", fc_norm=True, posemb="relative", representation_size=4),
        tiny(classifier="map", qk_norm=True, num_registers=2, layer_scale_init=0.1),
        OPTIONS["mixer"],
    ],
)
def test_every_parameter_matters(config: ModelConfig) -> None:
    """Each has a gradient, but for those that a softmax or a norm takes out."""
    # Added to every key of a query, or to every feature of a token.
    cancelled = ["MAPHead_0/MultiHeadDotProductAttention_0/key/bias", "key_ln/bias"]
    cancelled += ["token_mixing/Dense_1/bias"] + ["key/bias"] * (not config.qk_norm)
    config = dataclasses.replace(config, num_layers=1)
    model = models.build_model(config, 5)

    def loss(params: Any, images: jax.Array) -> Any:
        logits = model.apply({"params": params}, images, train=False)
        return jnp.sum(jnp.asarray(logits) ** 2)

    grads = jax.jit(jax.grad(loss))(random_params(config), random_images())
    for path, grad in flat(grads).items():
        if not any(path.endswith(suffix) for suffix in cancelled):
            assert jnp.abs(grad).max() > 1e-6, path


def test_features_without_classes() -> None:
    rep = OPTIONS["gap_rep"]
    assert not any(path.startswith("head") for path in shapes(rep, None))
    model = models.build_model(rep, None)
    features = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), random_images(), train=False)
    )[0]
    assert features.shape == (2, 12)


@pytest.mark.parametrize("option", ["plain", "map", "hybrid", "mixer", "rope2d"])
def test_bfloat16_computes_the_same_roughly(option: str) -> None:
    config = OPTIONS[option]
    half = dataclasses.replace(config, dtype="bfloat16")
    params, images = random_params(config), random_images()
    expected = apply(config, params, images)
    logits, state = apply(half, params, images, mutable="intermediates")
    assert logits.dtype == jnp.float32
    found = flat(state["intermediates"]).items()
    block = [value for path, value in found if path.endswith("block_1")]
    assert [value[0].dtype for value in block] == [jnp.bfloat16]
    assert jnp.abs(logits - expected).max() < 0.1 * jnp.abs(expected).max()


def test_patches_are_not_square() -> None:
    """Each token is its own patch's pixels times the kernel, row by row."""
    config = tiny(patch_size=(4, 8), num_layers=1)
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
    config = tiny(hidden_size=64, mlp_dim=128, num_layers=1, head_bias_init=-6.5)
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
    model = models.build_model(config, 5)
    train = jax.jit(
        lambda key: model.apply(
            {"params": params}, images, train=True, rngs={"dropout": key}
        )
    )
    first, second = train(jax.random.key(0)), train(jax.random.key(1))
    np.testing.assert_array_equal(first, train(jax.random.key(0)))
    assert jnp.abs(first - second).max() > 1e-3
    evaluated = apply(config, params, images)
    np.testing.assert_allclose(evaluated, apply(tiny(), params, images), atol=1e-6)
    with pytest.raises(Exception, match="dropout"):
        model.apply({"params": params}, images, train=True)


@pytest.mark.parametrize(
    "name", ["dropout_rate", "attention_dropout_rate", "stochastic_depth_rate"]
)
def test_each_rate_acts(name: str) -> None:
    config = tiny(**{name: 0.5})
    params, images = random_params(tiny()), random_images()
    trained = apply(
        config, params, images, train=True, rngs={"dropout": jax.random.key(0)}
    )
    assert jnp.abs(trained - apply(config, params, images)).max() > 1e-3


def test_registers_are_no_output() -> None:
    """The unpooled model has a class token and 9 patches to show, not 4 registers."""
    config = tiny(classifier="token_unpooled", num_registers=4, num_layers=1)
    logits, state = apply(
        config, random_params(config), random_images(), mutable="intermediates"
    )
    encoded = state["intermediates"]["Transformer"]["encoded"][0]
    assert encoded.shape == (2, 1 + 4 + 9, 16)
    assert logits.shape == (2, 10, 5)
    features = state["intermediates"]["features"][0]
    np.testing.assert_array_equal(features[:, 0], encoded[:, 0])
    np.testing.assert_array_equal(features[:, 1:], encoded[:, 5:])


def test_residual_stream_is_laid_out_where_there_is_a_mesh() -> None:
    """One constraint before the blocks and one after each; none without a mesh."""
    config = OPTIONS["plain"]
    model, params = models.build_model(config, 5), random_params(config)

    def run(images: jax.Array) -> Any:
        return model.apply({"params": params}, images, train=False)

    def constraints(function: Any) -> int:
        text = str(jax.make_jaxpr(function)(random_images()))
        return text.count("sharding_constraint[")

    mesh = make_mesh(MeshConfig(), jax.devices()[:2])
    assert constraints(bind_mesh(run, mesh)) == 3
    assert constraints(run) == 0
