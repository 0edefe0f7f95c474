"""Tables keyed by parameter path: a learning rate of its own, none at all, no decay."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.config import OptimConfig, Table
from vit_jax.errors import ConfigError, check
from vit_jax.mesh.sharding import STACKED, format_path


def match_multipliers(params: Any, table: Table, where: str) -> Any:
    """Returns a tree of factors: of the first pattern that matches a whole path.

    Paths are those of the loop over layers: ``encoderblock_0``, however they are held.
    Where the layers of a stack differ, the factor is an array [l, 1, ...].

    Raises:
      ConfigError: a table that leaves a parameter out, has a pattern that matches none,
        or a multiplier that is negative or not finite.
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
        pattern, value = _find_match(name, table, where)
        unused.discard(pattern)
        return value

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


def _find_match(name: str, table: Table, where: str) -> tuple[str, float]:
    """Returns the first row of a table whose pattern matches a path."""
    for pattern, value in table:
        try:
            matched = re.fullmatch(pattern, name)
        except re.error as error:
            raise ConfigError(
                f'config.{where} must hold regular expressions, got "{pattern}": '
                f"{error}"
            ) from error
        if matched:
            return pattern, value
    raise ConfigError(
        f'config.{where} must cover every parameter, but none matches "{name}"; '
        'end it with (".*", 1.0)'
    )


def find_rates(config: OptimConfig, params: Any) -> Any:
    """Returns the tree of learning-rate multipliers."""
    table = config.learning_rate_multipliers
    return match_multipliers(params, table, "optim.learning_rate_multipliers")


def is_frozen(rates: Any) -> Any:
    """Returns a tree of bools: True where the learning-rate multiplier is 0.

    A stack of layers is frozen where all of them are.
    """
    return jax.tree.map(lambda rate: not np.any(rate), rates)


def stop_frozen(rates: Any, params: Any) -> Any:
    """Returns the parameters, with no gradient where the multiplier is 0.

    Backpropagation ends where nothing is trained, and what is not trained has no part
    in the norm of the gradients, alone or in a stack with layers that are.
    """

    def stop(parameter: jax.Array, rate: float | np.ndarray) -> jax.Array:
        if np.all(rate):
            return parameter
        stopped = jax.lax.stop_gradient(parameter)
        return jnp.where(rate != 0, parameter, stopped) if np.any(rate) else stopped

    return jax.tree.map(stop, params, rates)


def splits_stacked_layers(config: OptimConfig, stacked_params: Any) -> bool:
    """Returns whether some layers of a stack are frozen and others not.

    Under a scan the optimizer then has state for all of them, in a loop only for those
    that are trained.
    """
    rates = jax.tree.leaves(find_rates(config, stacked_params))
    return any(np.any(rate) and not np.all(rate) for rate in rates)
