"""The training state: one immutable value."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from vit_jax.models.init import derive_key
from vit_jax.objectives.objective import Constant, Objective
from vit_jax.training.optimizers import Chain
from vit_jax.training.parameters import join_trained, split_trained


class EvalState(flax.struct.PyTreeNode):
    """What an evaluation needs of a state; the fields are those of `TrainState`."""

    params: Any
    own: Any = None
    kept: Any = None
    constants: Any = None


class TrainState(flax.struct.PyTreeNode):
    """``step`` counts completed updates; randomness is derived from it."""

    step: Int[Array, ""]
    params: Any  # the model's
    opt_state: Any
    ema: Any = None  # the parameters that are evaluated, where they are others
    own: Any = None  # what the objective trains
    kept: Any = None  # what it keeps without gradients
    constants: Any = None  # what it was handed: passed on, never saved

    @property
    def trained(self) -> Any:
        """All that has gradients, as one tree."""
        return join_trained(self.params, self.own)

    def replace_trained(self, trained: Any) -> "TrainState":
        """Returns the state with all that has gradients replaced."""
        params, own = split_trained(trained)
        return self.replace(params=params, own=own)

    @property
    def evaluated(self) -> EvalState:
        """What is evaluated."""
        params = self.params if self.ema is None else self.ema
        return EvalState(params, self.own, self.kept, self.constants)


def collect_params(constants: Mapping[str, Constant]) -> dict[str, Any] | None:
    """Returns the arrays of the constants by name; None where there are none."""
    return {name: each.params for name, each in constants.items()} or None


def init_state(
    params: Any,
    optimizer: Chain,
    objective: Objective,
    seed: int,
    ema: bool = False,
) -> TrainState:
    """Returns the state before the first update, of a model's parameters."""
    own, kept = objective.init(params, derive_key(seed, "objective"))
    # Copies: the step donates each array of the state once.
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(join_trained(params, own)),
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        own=own,
        kept=jax.tree.map(jnp.copy, kept),
    )
