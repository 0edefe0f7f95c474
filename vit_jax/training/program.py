"""What follows from a config alone: model, state layout and compiled steps.

No data and no files, so that a run can be traced, planned and timed without any.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.config import Config
from vit_jax.config.durations import Steps
from vit_jax.data import augment
from vit_jax.mesh.compiler import make_compiler_options
from vit_jax.mesh.constraints import bind_mesh
from vit_jax.mesh.sharding import (
    check_batch_size,
    get_shardings,
    make_batch_sharding,
    offload_to_host,
    replicate_sharding,
    shard_abstract,
)
from vit_jax.models.init import init_params
from vit_jax.training.optim import make_optimizer, make_schedule
from vit_jax.training.state import TrainState, init_state
from vit_jax.training.step import make_eval_step, make_train_step


@dataclasses.dataclass(frozen=True)
class Program:
    """The functions of a run, each jitted with its shardings."""

    model: nn.Module
    abstract_state: TrainState  # shapes, dtypes and shardings
    init: Callable[[], TrainState]
    train_step: Callable[[TrainState, Any], tuple[TrainState, Any]]  # donates the state
    eval_step: Callable[[Any, Any], Any]


def make_program(config: Config, steps: Steps, num_classes: int, mesh: Mesh) -> Program:
    """Builds a resolved config's functions; compiles nothing yet.

    Raises:
      ConfigError: a batch that the mesh does not divide, a table in ``config.optim``
        that does not fit the parameters, or offload where there is no host memory.
    """
    data = config.data
    check_batch_size(data.batch_size, mesh, "config.data.batch_size")
    eval_batch_size = data.eval_batch_size or data.batch_size
    check_batch_size(eval_batch_size, mesh, "config.data.eval_batch_size")
    models.check_devices(config.model, mesh)
    model = models.build_model(config.model, num_classes)
    schedule = make_schedule(config.optim, steps)
    params = jax.eval_shape(lambda: init_params(model, data.image_size, config.seed))
    optimizer = make_optimizer(config.optim, schedule, params)

    def init() -> TrainState:
        ema = config.train.ema_decay is not None
        return init_state(model, optimizer, data.image_size, config.seed, ema)

    abstract = shard_abstract(
        jax.eval_shape(init), models.find_axes(config.model), mesh
    )
    on_device = get_shardings(abstract)
    if config.optim.offload:
        abstract = abstract.replace(opt_state=offload_to_host(abstract.opt_state, mesh))
    shardings = get_shardings(abstract)
    prepare = functools.partial(augment.prepare_images, data=data)
    train_step = make_train_step(
        model, optimizer, schedule, prepare, config, num_classes
    )
    eval_step = make_eval_step(model, prepare, config.train.loss, num_classes)

    def fetch_and_step(state: TrainState, batch: Any) -> tuple[TrainState, Any]:
        opt_state = jax.device_put(state.opt_state, on_device.opt_state)
        return train_step(state.replace(opt_state=opt_state), batch)

    rows, options = make_batch_sharding(mesh), make_compiler_options(mesh)
    return Program(
        model=model,
        abstract_state=abstract,
        init=jax.jit(init, out_shardings=shardings),
        train_step=jax.jit(
            bind_mesh(fetch_and_step if config.optim.offload else train_step, mesh),
            in_shardings=(shardings, rows),
            out_shardings=(shardings, replicate_sharding(mesh)),
            donate_argnums=0,
            compiler_options=options,
        ),
        eval_step=jax.jit(
            bind_mesh(eval_step, mesh),
            in_shardings=(shardings.params, rows),
            out_shardings=replicate_sharding(mesh),
            compiler_options=options,
        ),
    )
