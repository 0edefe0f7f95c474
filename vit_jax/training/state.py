"""The training state: one immutable value."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Int

from vit_jax.models.init import init_params


class TrainState(flax.struct.PyTreeNode):
    """``step`` counts completed updates; randomness is derived from it."""

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    ema: Any = None  # the parameters' moving average, where there is one

    @property
    def eval_params(self) -> Any:
        """What is evaluated and used: the average, where there is one."""
        return self.params if self.ema is None else self.ema


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_size: tuple[int, int],
    seed: int,
    ema: bool = False,
) -> TrainState:
    """Returns the state before the first update."""
    params = init_params(model, image_size, seed)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        # A copy: the step donates each array of the state once.
        ema=jax.tree.map(jnp.copy, params) if ema else None,
    )
