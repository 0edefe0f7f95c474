"""What happens to parameters between the state and their use."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import optax
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.models.apply import apply_model
from vit_jax.models.progressive import Size, fit_positions
from vit_jax.objectives.objective import Apply
from vit_jax.training.multipliers import stop_frozen
from vit_jax.training.optimizers import Chain

# ``(parameters of the model, size of the images) -> parameters``.
Change = Callable[[Any, Size], Any]

OWN = "own"  # where an objective's own parameters stand among those that are trained


def join_trained(params: Any, own: Any) -> Any:
    """Returns one tree of what is trained: the model's, and the objective's own."""
    return params if own is None else {**params, OWN: own}


def split_trained(trained: Any) -> tuple[Any, Any]:
    """Returns the model's parameters, and the objective's own or None."""
    if OWN not in trained:
        return trained, None
    return {k: v for k, v in trained.items() if k != OWN}, trained[OWN]


def list_changes(config: Config, rates: Any) -> tuple[Change, ...]:
    """Returns what happens to the model's parameters before a training step uses them.

    Args:
      config: resolved.
      rates: learning-rate multipliers of the model's parameters.
    """
    return (
        lambda params, size: stop_frozen(rates, params),
        lambda params, size: fit_positions(
            params, config.model, config.data.image_size, size
        ),
    )


def make_apply(model: nn.Module, changes: Sequence[Change] = ()) -> Apply:
    """Returns ``(params, images, **options) -> outputs``, after the changes in order."""

    def apply(
        params: Any, images: Float[Array, "b h w c"], **options: Any
    ) -> Float[Array, "b y"]:
        for change in changes:
            params = change(params, (images.shape[1], images.shape[2]))
        return apply_model(model, params, images, **options)

    return apply


# ``(evaluated before, trained, optimizer's state) -> parameters of the model``.
Evaluated = Callable[[Any, Any, Any], Any]


def choose_evaluated(config: Config, optimizer: Chain) -> Evaluated | None:
    """Returns what makes the parameters that are evaluated; None: the trained ones.

    They are kept in the state, saved as ``ema``, and used by whoever loads the
    checkpoint.

    Raises:
      ConfigError: both the config and the optimizer have them.
    """
    decay, evaluate = config.train.ema_decay, optimizer.evaluate
    if decay is not None and evaluate is not None:
        raise ConfigError(
            f"config.train.ema_decay must be None with {config.optim.name}, which "
            f"averages on its own, got {decay}; add --config.train.ema_decay=None"
        )
    if decay is not None:
        return functools.partial(_average, decay)
    if evaluate is not None:
        return lambda before, trained, state: split_trained(evaluate(state, trained))[0]
    return None


def _average(decay: float, before: Any, trained: Any, state: Any) -> Any:
    del state
    params, _ = split_trained(trained)
    return optax.incremental_update(params, before, 1 - decay)
