"""One update and one evaluation of a batch, as pure functions to be jitted."""

from collections.abc import Callable
from typing import Any

import chex
import optax
from jaxtyping import Array

from vit_jax.errors import ConfigError
from vit_jax.objectives.keys import StepKeys
from vit_jax.objectives.objective import Batch, Objective
from vit_jax.training.gradients import Gradient
from vit_jax.training.learner import MakeLearner
from vit_jax.training.optimizers import Chain
from vit_jax.training.parameters import Evaluated
from vit_jax.training.state import EvalState, TrainState


def make_train_step(
    gradient: Gradient,
    optimizer: Chain,
    schedule: optax.Schedule,
    update_kept: Callable[[TrainState, Any], Any],
    evaluated: Evaluated | None,
    seed: int,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Returns ``(state, batch) -> (state, metrics)``: differentiate, reduce, update.

    Args:
      gradient: of the loss; see `gradients`.
      optimizer: from `optimizers.make_optimizer`.
      schedule: update number → learning rate, for the log.
      update_kept: ``(state with new parameters, seen) -> kept``, without gradients.
      evaluated: makes the parameters that are evaluated, where they are others.
      seed: of the run.
    """

    def train_step(
        state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        keys = StepKeys(seed, state.step)
        (loss, aux), gradients = gradient(state.trained, state, batch, keys)
        chex.assert_shape(loss, ())
        chex.assert_trees_all_equal_shapes_and_dtypes(gradients, state.trained)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.trained)
        metrics = {
            "loss": loss,
            "learning_rate": schedule(state.step),
            "gradient_norm": optax.tree.norm(gradients),
        }
        if taken := metrics.keys() & aux.metrics.keys():
            raise ConfigError(
                "an objective's metrics must have names of their own, got "
                f"{', '.join(sorted(taken))}, which every step logs; rename them"
            )
        trained = optax.apply_updates(state.trained, updates)
        ema = state.ema
        if evaluated is not None:
            ema = evaluated(ema, trained, opt_state)
        state = state.replace_trained(trained)
        after = state.replace(
            step=state.step + 1,
            opt_state=opt_state,
            ema=ema,
            kept=update_kept(state, aux.seen),
        )
        # What changes its shape or dtype in a step compiles every step anew.
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        return after, {**metrics, **aux.metrics}

    return train_step


def make_eval_step(
    objective: Objective, make_learner: MakeLearner
) -> Callable[[EvalState, Batch], dict[str, Any]]:
    """Returns ``(state, batch) -> values``; see `objective.Objective.evaluate`."""
    return lambda state, batch: objective.evaluate(make_learner(state), batch)
