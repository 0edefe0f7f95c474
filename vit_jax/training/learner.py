"""From a state to what an objective works with."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vit_jax.objectives.objective import Apply, Constant, Learner
from vit_jax.training.state import EvalState, TrainState

MakeLearner = Callable[[TrainState | EvalState], Learner]


def make_learner(
    apply: Apply,
    constants: Mapping[str, Constant],
    change_own: Callable[[Any], Any] = lambda own: own,
) -> MakeLearner:
    """Returns ``state -> learner``.

    Args:
      apply: from `parameters.make_apply`.
      constants: whose arrays are those of the state.
      change_own: what happens to an objective's own parameters before their use.
    """

    def learn_from(state: TrainState | EvalState) -> Learner:
        handed = {
            name: dataclasses.replace(constant, params=state.constants[name])
            for name, constant in constants.items()
        }
        return Learner(apply, state.params, change_own(state.own), state.kept, handed)

    return learn_from
