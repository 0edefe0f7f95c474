"""Gradient functions are wrapped: micro-batches, and a second gradient in a step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.objectives.keys import StepKeys
from vit_jax.objectives.objective import Aux
from vit_jax.training.gradients import Gradient, accumulate

PARAMS = {"w": jnp.asarray([1.0, -2.0])}
BATCH = {"x": jnp.arange(16, dtype=jnp.float32).reshape(8, 2)}
KEYS = StepKeys(seed=0, step=3)
STATE: Any = None  # this loss needs none


def loss(params: Any, state: Any, batch: Any, keys: Any) -> Any:
    del state
    value = ((batch["x"] * params["w"][None]).sum(axis=1) ** 2).mean() / 2
    drawn = jax.random.uniform(keys["mine"], ())
    return value, Aux({"drawn": drawn}, batch["x"].mean(axis=0))


GRADIENT: Gradient = jax.value_and_grad(loss, has_aux=True)


def test_micro_batches_give_the_mean_and_keys_of_their_own():
    (value, aux), gradients = accumulate(GRADIENT, 4)(PARAMS, STATE, BATCH, KEYS)
    (whole, _), expected = GRADIENT(PARAMS, STATE, BATCH, KEYS)
    np.testing.assert_allclose(value, whole, rtol=1e-6)
    np.testing.assert_allclose(gradients["w"], expected["w"], rtol=1e-6)
    np.testing.assert_allclose(aux.seen, [7.0, 8.0])  # of all rows
    drawn = [
        jax.random.uniform(KEYS.select_part(part)["mine"], ()) for part in range(4)
    ]
    assert len({float(number) for number in drawn}) == 4
    np.testing.assert_allclose(aux.metrics["drawn"], np.mean(drawn), rtol=1e-6)


def sharpen(gradient: Gradient, radius: float) -> Gradient:
    """Sharpness-aware minimization (Foret et al. 2021, algorithm 1), as a wrapper."""

    def sharpened(params: Any, state: Any, batch: Any, keys: Any) -> Any:
        value, first = gradient(params, state, batch, keys)
        norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(first)))
        moved = jax.tree.map(lambda p, g: p + radius * g / norm, params, first)
        return value, gradient(moved, state, batch, keys)[1]

    return sharpened


def test_a_second_gradient_in_a_step_is_another_wrapper():
    wrapped = sharpen(accumulate(GRADIENT, 2), 0.1)
    (value, _), gradients = wrapped(PARAMS, STATE, BATCH, KEYS)
    x, w = np.asarray(BATCH["x"]), np.asarray(PARAMS["w"])
    hessian = x.T @ x / len(x)
    first = hessian @ w
    expected = hessian @ (w + 0.1 * first / np.linalg.norm(first))
    np.testing.assert_allclose(value, ((x @ w) ** 2).mean() / 2, rtol=1e-6)
    np.testing.assert_allclose(gradients["w"], expected, rtol=1e-5)


def test_a_stream_of_any_name_is_its_own():
    keys = [KEYS[name] for name in ("augment", "mix", "mine", "other")]
    numbers = {tuple(np.asarray(jax.random.key_data(key))) for key in keys}
    assert len(numbers) == 4
