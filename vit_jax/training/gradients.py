"""Gradient functions, and wrappers of them: ``gradient -> gradient``.

A gradient function is ``(params, state, batch, keys) -> ((value, aux), gradients)``,
where ``params`` is all that is trained. A scheme that takes more than one gradient a
step, or changes them, is a wrapper here.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vit_jax.objectives.keys import StepKeys
from vit_jax.objectives.objective import Aux, Batch, Objective
from vit_jax.training.learner import MakeLearner
from vit_jax.training.state import TrainState

Value = tuple[Float[Array, ""], Aux]
Gradient = Callable[[Any, TrainState, Batch, StepKeys], tuple[Value, Any]]


def make_gradient(objective: Objective, make_learner: MakeLearner) -> Gradient:
    """Returns the gradient function of an objective's loss.

    Args:
      objective: gives views and loss.
      make_learner: from a state whose trained parameters are those of the argument.
    """

    def compute_loss(
        trained: Any, state: TrainState, batch: Batch, keys: StepKeys
    ) -> Value:
        views = objective.views(batch, keys)
        learner = make_learner(state.replace_trained(trained))
        return objective.loss(learner, views, keys)

    return jax.value_and_grad(compute_loss, has_aux=True)


def accumulate(gradient: Gradient, parts: int) -> Gradient:
    """Returns the means of a gradient function over ``parts`` micro-batches in turn."""
    if parts == 1:
        return gradient

    def accumulated(
        params: Any, state: TrainState, batch: Batch, keys: StepKeys
    ) -> tuple[Value, Any]:
        # Part i takes rows i, i + parts, ...: a device whose number of rows ``parts``
        # divides splits its own, and none moves to another.
        batch = jax.tree.map(
            lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch
        )

        def add(total: Any, part: Any) -> tuple[Any, Aux]:
            index, rows = part
            (value, aux), gradients = gradient(
                params, state, rows, keys.select_part(index)
            )
            return jax.tree.map(jnp.add, total, (value, gradients)), aux

        zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), params))
        total, aux = jax.lax.scan(add, zeros, (jnp.arange(parts), batch))
        value, gradients = jax.tree.map(lambda x: x / parts, total)
        return (value, jax.tree.map(lambda x: x.mean(axis=0), aux)), gradients

    return accumulated
