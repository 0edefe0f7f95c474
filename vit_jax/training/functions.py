"""The functions of a run, put together from a config: pure, and on no devices yet."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn

from vit_jax import models
from vit_jax.config import Config
from vit_jax.config.choices import OBJECTIVES
from vit_jax.config.durations import Steps
from vit_jax.errors import ConfigError
from vit_jax.models.init import derive_key, init_params
from vit_jax.objectives.objective import Constant, MakeObjective, Objective
from vit_jax.training.gradients import Gradient, accumulate, make_gradient
from vit_jax.training.learner import make_learner
from vit_jax.training.multipliers import find_rates, stop_frozen
from vit_jax.training.optimizers import make_optimizer
from vit_jax.training.parameters import (
    choose_evaluated,
    join_trained,
    list_changes,
    make_apply,
    split_trained,
)
from vit_jax.training.schedules import make_schedule
from vit_jax.training.state import EvalState, TrainState, init_state
from vit_jax.training.step import make_eval_step, make_train_step


@dataclasses.dataclass(frozen=True)
class Functions:
    """What a run is made of; `program.Program` has them jitted."""

    objective: Objective
    model: nn.Module
    num_outputs: int | None
    constants: Mapping[str, Constant]
    start: Callable[[Any], TrainState]
    train_step: Callable[[TrainState, Any], tuple[TrainState, Any]]
    eval_step: Callable[[EvalState, Any], Any]


def make_objective(config: Config, num_classes: int) -> Objective:
    """Returns what a resolved config learns from data of ``num_classes``."""
    make: MakeObjective = OBJECTIVES.resolve(config.objective.name)
    return make(config, num_classes)


def make_functions(
    config: Config,
    steps: Steps,
    num_classes: int,
    constants: Mapping[str, Constant],
) -> Functions:
    """Builds a resolved config's functions; see `program.make_program`."""
    objective = make_objective(config, num_classes)
    if constants.keys() != objective.constants.keys():
        raise ConfigError(
            f"the objective {config.objective.name} must be handed the checkpoints "
            f"{', '.join(objective.constants)}, got none; only training opens them"
        )
    num_outputs = objective.count_outputs(num_classes)
    model = models.build_model(config.model, num_outputs)
    learn_from = make_learner(make_apply(model), constants)
    trained = jax.eval_shape(lambda: _init_trained(config, objective, model))
    schedule = make_schedule(config.optim, steps)
    optimizer = make_optimizer(config.optim, schedule, trained)
    evaluated = choose_evaluated(config, optimizer)
    train_step = make_train_step(
        _make_gradient(config, objective, model, constants, trained),
        optimizer,
        schedule,
        lambda state, seen: objective.update(learn_from(state), seen),
        evaluated,
        config.seed,
    )

    def start(params: Any) -> TrainState:
        is_kept = evaluated is not None
        return init_state(params, optimizer, objective, config.seed, is_kept)

    return Functions(
        objective=objective,
        model=model,
        num_outputs=num_outputs,
        constants=constants,
        start=start,
        train_step=train_step,
        eval_step=make_eval_step(objective, learn_from),
    )


def _make_gradient(
    config: Config,
    objective: Objective,
    model: nn.Module,
    constants: Mapping[str, Constant],
    trained: Any,
) -> Gradient:
    """Returns the gradient function of an update, its wrappers around it."""
    rates, own_rates = split_trained(find_rates(config.optim, trained))
    learn_from = make_learner(
        make_apply(model, list_changes(config, rates)),
        constants,
        lambda own: stop_frozen(own_rates, own),
    )
    gradient = make_gradient(objective, learn_from)
    return accumulate(gradient, config.train.accum_steps)


def _init_trained(config: Config, objective: Objective, model: nn.Module) -> Any:
    params = init_params(model, config.data.image_size, config.seed)
    own, _ = objective.init(params, derive_key(config.seed, "objective"))
    return join_trained(params, own)
