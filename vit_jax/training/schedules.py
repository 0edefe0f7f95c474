"""Learning rates: a warm-up, and what follows it by the name of the schedule."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax

from vit_jax.config import OptimConfig
from vit_jax.config.choices import SCHEDULES
from vit_jax.config.durations import Steps


class MakeSchedule(Protocol):
    """A row of the table of schedules."""

    def __call__(self, config: OptimConfig, decay_steps: int) -> optax.Schedule:
        """Returns update number (from 0, after the warm-up) → learning rate."""
        ...


def make_cosine(config: OptimConfig, decay_steps: int) -> optax.Schedule:
    """Returns half a cosine from the learning rate to 0."""
    return optax.cosine_decay_schedule(config.learning_rate, decay_steps)


def make_linear(config: OptimConfig, decay_steps: int) -> optax.Schedule:
    """Returns a line from the learning rate to ``linear_end``."""
    return optax.linear_schedule(config.learning_rate, config.linear_end, decay_steps)


def make_constant(config: OptimConfig, decay_steps: int) -> optax.Schedule:
    """Returns the learning rate, whatever the update."""
    del decay_steps
    return optax.constant_schedule(config.learning_rate)


def make_schedule(config: OptimConfig, steps: Steps) -> optax.Schedule:
    """Returns update number (from 0) → learning rate.

    With warm-up the first update has rate 0, as in the original: it only fills the
    momentum.
    """
    make: MakeSchedule = SCHEDULES.resolve(config.schedule)
    joined = after = make(config, steps.total - steps.warmup)
    if steps.warmup:
        before = optax.linear_schedule(0.0, config.learning_rate, steps.warmup)
        joined = optax.join_schedules([before, after], [steps.warmup])

    def schedule(count: Any) -> jax.Array:
        with jax.numpy_dtype_promotion("standard"):  # optax divides int by float
            return jnp.asarray(joined(count), jnp.float32)

    return schedule
