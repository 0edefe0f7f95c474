"""Optimizers by name, and the chain around them: clipping, decay, rates, freezing.

The default chain is the fine-tuning recipe of the original (Dosovitskiy et al. 2021,
appendix B.1.1): clip by global norm, SGD with momentum, warm-up then cosine.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from vit_jax.config import OptimConfig
from vit_jax.config.choices import OPTIMIZERS
from vit_jax.errors import ConfigError
from vit_jax.training.multipliers import find_rates, is_frozen, match_multipliers


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """How gradients become updates.

    Attributes:
      direction: gradients -> directions. Around it stand, in this order, clipping,
        itself, weight decay, multipliers and the learning rate.
      wrap: of the whole chain, for an optimizer that is more than a direction.
      evaluate: ``(state, params) -> params`` that are evaluated and used, where they
        are others than those that are trained, as schedule-free optimizers have them.
    """

    direction: optax.GradientTransformation
    wrap: Callable[[optax.GradientTransformation], optax.GradientTransformation] = (
        lambda chain: chain
    )
    evaluate: Callable[[Any, Any], Any] | None = None


class Chain(NamedTuple):
    """The whole chain, as optax has a transformation, and what of it is evaluated."""

    init: Callable[..., Any]
    update: Callable[..., Any]
    evaluate: Callable[[Any, Any], Any] | None = None


class MakeOptimizer(Protocol):
    """A row of the table of optimizers, and what ``train(optimizer=...)`` takes.

    Its state is saved and restored, so that a run resumes bit for bit.
    """

    def __call__(
        self, config: OptimConfig, schedule: optax.Schedule
    ) -> optax.GradientTransformation | Optimizer:
        """Returns the direction, or that and more.

        Args:
          config: the optimizer's section.
          schedule: update number (from 0) → learning rate, for a ``wrap`` that needs it.
        """
        ...


def make_sgd(
    config: OptimConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Returns the momentum.

    The bfloat16 accumulator does what it does in the original: the momentum 0.9 is
    rounded to bfloat16 too (0.8984375), and only the stored moment is rounded.
    """
    del schedule
    return optax.trace(config.momentum, False, config.accumulator_dtype)


def make_adam(
    config: OptimConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Returns Adam's direction (Kingma and Ba 2015); decay is decoupled from it."""
    del schedule
    return optax.scale_by_adam(
        config.b1, config.b2, config.eps, mu_dtype=config.accumulator_dtype
    )


def make_optimizer(config: OptimConfig, schedule: optax.Schedule, params: Any) -> Chain:
    """Builds the chain; weight decay is decoupled (Loshchilov & Hutter 2019).

    Args:
      config: the optimizer's section.
      schedule: from `schedules.make_schedule`.
      params: what is trained, or its abstract tree; only paths and shapes are read.

    Raises:
      ConfigError: a table that leaves a parameter out, has a pattern that matches none,
        or a multiplier that is negative or no finite number.
    """
    rates = find_rates(config, params)
    make: MakeOptimizer = OPTIMIZERS.resolve(config.name)
    made = make(config, schedule)
    if not isinstance(made, Optimizer):
        made = Optimizer(made)
    chain = made.wrap(
        _partition(_chain(config, made.direction, schedule, params, rates), rates)
    )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # optax adds float32 gradients to bfloat16 moments without a cast.
        with jax.numpy_dtype_promotion("standard"):
            return chain.update(updates, state, params)

    return Chain(chain.init, update, made.evaluate)


def _chain(
    config: OptimConfig,
    direction: optax.GradientTransformation,
    schedule: optax.Schedule,
    params: Any,
    rates: Any,
) -> optax.GradientTransformation:
    chain = []
    if config.clip_global_norm:
        chain.append(optax.clip_by_global_norm(config.clip_global_norm))
    chain.append(direction)
    if config.weight_decay:
        decays = match_multipliers(
            params, config.weight_decay_multipliers, "optim.weight_decay_multipliers"
        )
        chain.append(_add_weight_decay(config.weight_decay, decays))
    if any(np.any(rate != 1.0) for rate in jax.tree.leaves(rates)):
        chain.append(_scale_each(rates))
    chain.append(optax.scale_by_learning_rate(schedule))
    return optax.chain(*chain)


def _partition(
    optimizer: optax.GradientTransformation, rates: Any
) -> optax.GradientTransformation:
    """Returns an optimizer that keeps no state for what does not move."""
    frozen = is_frozen(rates)
    if all(jax.tree.leaves(frozen)):
        raise ConfigError(
            "config.optim.learning_rate_multipliers must leave something to train, got "
            "0.0 for every parameter; begin it with ('head/.*', 1.0) to train the head"
        )
    if not any(jax.tree.leaves(frozen)):
        return optimizer
    labels = jax.tree.map(lambda f: "frozen" if f else "trained", frozen)
    return optax.partition(
        {"trained": optimizer, "frozen": optax.set_to_zero()}, labels
    )


def _scale_each(factors: Any) -> optax.GradientTransformation:
    """Multiplies each update by a factor of its own."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        # Under `partition` the frozen ones are MaskedNodes here, not arrays.
        scaled = jax.tree.map(
            lambda u, f: u if isinstance(u, optax.MaskedNode) else u * f,
            updates,
            factors,
            is_leaf=lambda x: isinstance(x, optax.MaskedNode),
        )
        return scaled, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _add_weight_decay(rate: float, factors: Any) -> optax.GradientTransformation:
    """Adds ``rate * factor * parameter`` to each update."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        decayed = jax.tree.map(
            lambda u, f, p: (
                u
                if isinstance(u, optax.MaskedNode) or not np.any(f)
                else u + rate * f * p
            ),
            updates,
            factors,
            params,
            is_leaf=lambda x: isinstance(x, optax.MaskedNode),
        )
        return decayed, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
