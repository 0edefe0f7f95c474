"""Layers in a loop and in a scan, with and without remat: the same numbers and names."""

import dataclasses
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import OPTIONS, apply, flat, random_images, random_params, shapes
from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.mesh.axes import find_logical_axes
from vit_jax.models.init import init_params
from vit_jax.models.layers import stack_layer_params, unstack_layer_params


def variant(option: str, **fields: Any) -> ModelConfig:
    return dataclasses.replace(OPTIONS[option], num_layers=3, **fields)


def gradients(config: ModelConfig, params: Any, **rngs: jax.Array) -> Any:
    """Returns logits in training, and the gradient of the sum of their squares."""
    model = models.build_model(config, 5)

    def loss(params: Any) -> Any:
        logits: Any = model.apply(
            {"params": params}, random_images(), train=True, rngs=rngs
        )
        return jnp.square(logits).sum(), logits

    found, logits = jax.jit(jax.grad(loss, has_aux=True))(params)
    return {"logits": logits, **(unstack_layer_params(found) if config.scan else found)}


def assert_close(one: Any, other: Any) -> None:
    """2e-5 of the largest entry there is: only the order of sums differs."""
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(other))
    chex.assert_trees_all_close(one, other, rtol=2e-5, atol=2e-5 * largest)


@pytest.mark.parametrize("option", ["plain", "mixer", "rope2d", "relative", "dinov2"])
def test_scan_and_remat_change_no_numbers(option: str) -> None:
    params = random_params(variant(option))
    expected = gradients(variant(option), params)
    ways = [(True, "none"), (False, "full")] if option == "plain" else [(True, "dots")]
    for scan, remat in ways:
        config = variant(option, scan=scan, remat=remat)
        assert_close(
            gradients(config, stack_layer_params(params) if scan else params), expected
        )


@pytest.mark.parametrize("scan", [False, True])
def test_remat_draws_the_same_random_numbers(scan: bool) -> None:
    rates = {"dropout_rate": 0.2, "stochastic_depth_rate": 0.4}
    params, key = random_params(variant("plain")), jax.random.key(0)
    params = stack_layer_params(params) if scan else params
    plain = gradients(variant("plain", scan=scan, **rates), params, dropout=key)
    for remat in ("dots", "full") if scan else ("dots", "half", "full"):
        config = variant("plain", scan=scan, remat=remat, **rates)
        assert_close(gradients(config, params, dropout=key), plain)


@pytest.mark.parametrize("option", ["plain", "mixer"])
def test_names_and_logical_axes(option: str) -> None:
    loop = shapes(variant(option))
    assert set(shapes(variant(option, remat="full"))) == set(loop)
    axes = models.find_axes(OPTIONS[option])
    stacked = shapes(variant(option, scan=True))
    numbered = re.compile(r"(encoderblock|MixerBlock)_\d+/")
    assert set(stacked) == {numbered.sub(r"\1/", name) for name in loop}
    assert sum(bool(numbered.search(name)) for name in loop) > 30
    for name, leaf in stacked.items():
        names = find_logical_axes(name, len(leaf.shape), axes)
        assert (names[0] == "layers") == ("encoderblock/" in name or "MixerB" in name)
        assert "layers" not in names or leaf.shape[0] == 3


@pytest.mark.parametrize("option", ["plain", "mixer"])
def test_each_layer_of_a_scan_drops_at_its_own_rate(option: str) -> None:
    config = variant(
        option,
        scan=True,
        stochastic_depth_rate=0.999999,
        stochastic_depth_rescale=False,
    )
    rngs = {"dropout": jax.random.key(0)}
    params = stack_layer_params(random_params(variant(option)))
    found = apply(
        config, params, random_images(), train=True, rngs=rngs, mutable="intermediates"
    )[1]["intermediates"]
    found = {path.split("/")[-1]: leaf[0] for path, leaf in flat(found).items()}
    assert {"block_0", "block_1", "block_2", "encoded"} <= set(found)
    # The last layer lets no branch through; the first drops none.
    np.testing.assert_array_equal(found["block_1"], found["block_2"])
    plain = apply(
        variant(option),
        unstack_layer_params(params),
        random_images(),
        mutable="intermediates",
    )
    first = {p.split("/")[-1]: v for p, v in flat(plain[1]["intermediates"]).items()}
    np.testing.assert_allclose(found["block_0"], first["block_0"][0], atol=1e-5)


def test_scan_starts_from_the_loops_parameters() -> None:
    loop, scan = (
        jax.jit(lambda scan=scan: init_params(
            models.build_model(variant("plain", scan=scan), 5), (24, 24), seed=3
        ))()
        for scan in (False, True)
    )  # fmt: skip
    chex.assert_trees_all_equal(stack_layer_params(loop), scan)
    chex.assert_trees_all_equal(loop, unstack_layer_params(scan))
    assert jax.tree.structure(unstack_layer_params(scan)) == jax.tree.structure(loop)
