"""The optimizer from its config: schedule, chain, and tables keyed by parameter path.

The default chain is the fine-tuning recipe of the original (Dosovitskiy et al. 2021,
appendix B.1.1): clip by global norm, SGD with momentum, warm-up then cosine.
"""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vit_jax.config import OptimConfig, Table
from vit_jax.config.durations import Steps
from vit_jax.errors import ConfigError, check
from vit_jax.mesh.axes import STACKED, format_path


def make_schedule(config: OptimConfig, steps: Steps) -> optax.Schedule:
    """Returns update number (from 0) → learning rate.

    With warm-up the first update has rate 0, as in the original: it only fills the
    momentum.
    """
    rate, decay_steps = config.learning_rate, steps.total - steps.warmup
    after = {
        "cosine": lambda: optax.cosine_decay_schedule(rate, decay_steps),
        "linear": lambda: optax.linear_schedule(rate, config.linear_end, decay_steps),
        "constant": lambda: optax.constant_schedule(rate),
    }[config.schedule]()
    joined = after
    if steps.warmup:
        before = optax.linear_schedule(0.0, rate, steps.warmup)
        joined = optax.join_schedules([before, after], [steps.warmup])

    def schedule(count: Any) -> jax.Array:
        with jax.numpy_dtype_promotion("standard"):  # optax divides int by float
            return jnp.asarray(joined(count), jnp.float32)

    return schedule


def make_optimizer(
    config: OptimConfig, schedule: optax.Schedule, params: Any
) -> optax.GradientTransformation:
    """Builds the chain; weight decay is decoupled (Loshchilov & Hutter 2019).

    The bfloat16 accumulator does what it does in the original: the momentum 0.9 is
    rounded to bfloat16 too (0.8984375), and only the stored moment is rounded.

    Args:
      config: the optimizer's section.
      schedule: from `make_schedule`.
      params: the parameters or their abstract tree; only paths are read.

    Raises:
      ConfigError: a table that leaves a parameter out, has a pattern that matches none,
        or a multiplier that is negative or no finite number.
    """
    rates = _rates(config, params)
    chain = []
    if config.clip_global_norm:
        chain.append(optax.clip_by_global_norm(config.clip_global_norm))
    if config.name == "sgd":
        chain.append(optax.trace(config.momentum, False, config.accumulator_dtype))
    else:
        chain.append(
            optax.scale_by_adam(
                config.b1, config.b2, config.eps, mu_dtype=config.accumulator_dtype
            )
        )
    if config.weight_decay:
        decays = match_multipliers(
            params, config.weight_decay_multipliers, "optim.weight_decay_multipliers"
        )
        chain.append(_add_weight_decay(config.weight_decay, decays))
    if any(np.any(rate != 1.0) for rate in jax.tree.leaves(rates)):
        chain.append(_scale_each(rates))
    chain.append(optax.scale_by_learning_rate(schedule))
    optimizer = optax.chain(*chain)
    frozen = is_frozen(config, params)
    if all(jax.tree.leaves(frozen)):
        raise ConfigError(
            "config.optim.learning_rate_multipliers must leave something to train, got "
            "0.0 for every parameter; begin it with ('head/.*', 1.0) to train the head"
        )
    if any(jax.tree.leaves(frozen)):  # no moments are kept for what does not move
        labels = jax.tree.map(lambda f: "frozen" if f else "trained", frozen)
        optimizer = optax.partition(
            {"trained": optimizer, "frozen": optax.set_to_zero()}, labels
        )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # optax adds float32 gradients to bfloat16 moments without a cast.
        with jax.numpy_dtype_promotion("standard"):
            return optimizer.update(updates, state, params)

    return optax.GradientTransformation(optimizer.init, update)


def is_frozen(config: OptimConfig, params: Any) -> Any:
    """Returns a tree of bools: True where the learning-rate multiplier is 0.

    A stack of layers is frozen where all of them are.
    """
    return jax.tree.map(lambda rate: not np.any(rate), _rates(config, params))


def stop_frozen(config: OptimConfig, params: Any) -> Any:
    """Returns the parameters, with no gradient where the multiplier is 0.

    Backpropagation ends where nothing is trained, and what is not trained has no part
    in the norm of the gradients, alone or in a stack with layers that are.
    """

    def stop(parameter: jax.Array, rate: float | np.ndarray) -> jax.Array:
        if np.all(rate):
            return parameter
        stopped = jax.lax.stop_gradient(parameter)
        return jnp.where(rate != 0, parameter, stopped) if np.any(rate) else stopped

    return jax.tree.map(stop, params, _rates(config, params))


def splits_stacked_layers(config: OptimConfig, stacked_params: Any) -> bool:
    """Returns whether some layers of a stack are frozen and others not.

    A scan has the moments of all of them then, a loop those of what is trained.
    """
    rates = jax.tree.leaves(_rates(config, stacked_params))
    return any(np.any(rate) and not np.all(rate) for rate in rates)


def _rates(config: OptimConfig, params: Any) -> Any:
    table = config.learning_rate_multipliers
    return match_multipliers(params, table, "optim.learning_rate_multipliers")


def match_multipliers(params: Any, table: Table, where: str) -> Any:
    """Returns a tree of factors: of the first pattern that matches a whole path.

    Paths are those of the loop over layers: ``encoderblock_0``, however they are held.
    Where the layers of a stack differ, the factor is an array [l, 1, ...].
    """
    for pattern, value in table:
        what = f'config.{where} of "{pattern}"'
        check(0 <= value < math.inf, what, "finite and >= 0", value)
    unused = {pattern for pattern, _ in table}

    def factor(path: tuple[Any, ...], leaf: Any) -> float | np.ndarray:
        name = format_path(path)
        stacked = [key for key in name.split("/") if key in STACKED]
        if not stacked:
            return named(name)
        (key,) = stacked
        each = [named(name.replace(key, f"{key}_{i}")) for i in range(leaf.shape[0])]
        if len(set(each)) == 1:
            return each[0]
        return np.asarray(each, np.float32).reshape(-1, *[1] * (leaf.ndim - 1))

    def named(name: str) -> float:
        for pattern, value in table:
            try:
                matched = re.fullmatch(pattern, name)
            except re.error as error:
                raise ConfigError(
                    f'config.{where} must hold regular expressions, got "{pattern}": '
                    f"{error}"
                ) from error
            if matched:
                unused.discard(pattern)
                return value
        raise ConfigError(
            f'config.{where} must cover every parameter, but none matches "{name}"; '
            'end it with (".*", 1.0)'
        )

    tree = jax.tree_util.tree_map_with_path(factor, params)
    # A last ".*" is the usual net under a table that already covers everything.
    unused.discard(".*")
    if unused:
        raise ConfigError(
            f'config.{where} has "{min(unused)}", which matches no parameter that an '
            "earlier line leaves; a pattern must match a whole path such as "
            '"Transformer/encoderblock_0/.*" or "head/.*"'
        )
    return tree


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
