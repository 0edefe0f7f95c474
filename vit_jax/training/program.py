"""A config's functions on a mesh: state layout and compiled steps.

No data and no files, so that a run can be traced, planned and timed without any.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.config import Config
from vit_jax.config.durations import Steps
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
from vit_jax.objectives.objective import Constant, Objective
from vit_jax.training.axes import check_objective_axes, find_state_axes
from vit_jax.training.functions import Functions, make_functions
from vit_jax.training.state import EvalState, TrainState, collect_params


@dataclasses.dataclass(frozen=True)
class Program:
    """The functions of a run, each jitted with its shardings.

    Attributes:
      objective: what is learned.
      model: its head is as wide as the objective says.
      num_outputs: that width; None: no head.
      abstract_state: shapes, dtypes and shardings.
      constants: what the objective is handed.
      init_fresh: returns a state without them, of fresh parameters.
      start_from: likewise, of a model's parameters.
      train_step: donates the state.
      eval_step: of `TrainState.evaluated`.
    """

    objective: Objective
    model: nn.Module
    num_outputs: int | None
    abstract_state: TrainState
    constants: Mapping[str, Constant]
    init_fresh: Callable[[], TrainState]
    start_from: Callable[[Any], TrainState]
    train_step: Callable[[TrainState, Any], tuple[TrainState, Any]]
    eval_step: Callable[[EvalState, Any], Any]

    def init(self) -> TrainState:
        """Returns the state before the first update, of fresh parameters."""
        return self.hand_constants(self.init_fresh())

    def start(self, params: Any) -> TrainState:
        """Returns the state before the first update, of a model's parameters."""
        return self.hand_constants(self.start_from(params))

    def hand_constants(self, state: TrainState) -> TrainState:
        """Returns the state with the arrays of the constants, which it takes over."""
        return state.replace(constants=collect_params(self.constants))


def make_program(
    config: Config,
    steps: Steps,
    num_classes: int,
    mesh: Mesh,
    constants: Mapping[str, Constant] | None = None,
) -> Program:
    """Builds a resolved config's functions; compiles nothing yet.

    Args:
      config: of the run.
      steps: its durations.
      num_classes: of the data.
      mesh: of the devices.
      constants: those of the objective; see `start.open_constants`. The first state
        that is made takes their arrays.

    Raises:
      ConfigError: a batch that the mesh does not divide, a table in ``config.optim``
        that does not fit the parameters, or offload where there is no host memory.
    """
    data = config.data
    check_batch_size(data.batch_size, mesh, "config.data.batch_size")
    eval_batch_size = data.eval_batch_size or data.batch_size
    check_batch_size(eval_batch_size, mesh, "config.data.eval_batch_size")
    models.check_devices(config.model, mesh)
    functions = make_functions(config, steps, num_classes, constants or {})

    def init() -> TrainState:
        return functions.start(
            init_params(functions.model, data.image_size, config.seed)
        )

    on_device = _place(config, functions, jax.eval_shape(init), mesh)
    abstract = on_device
    if config.optim.offload:
        opt_state = offload_to_host(on_device.opt_state, mesh)
        abstract = on_device.replace(opt_state=opt_state)
    fresh = get_shardings(abstract.replace(constants=None))
    train_step, eval_step = _compile_steps(functions, abstract, on_device, mesh)
    return Program(
        objective=functions.objective,
        model=functions.model,
        num_outputs=functions.num_outputs,
        abstract_state=abstract,
        constants=functions.constants,
        init_fresh=jax.jit(init, out_shardings=fresh),
        start_from=jax.jit(functions.start, out_shardings=fresh),
        train_step=train_step,
        eval_step=eval_step,
    )


def _place(
    config: Config, functions: Functions, shapes: TrainState, mesh: Mesh
) -> TrainState:
    """Returns the abstract state with a sharding on each array."""
    axes = find_state_axes(config.model, functions.objective)
    check_objective_axes(shapes.own, shapes.kept, axes)
    state = shard_abstract(shapes, axes, mesh)
    constants = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
        collect_params(functions.constants),
    )
    return state.replace(constants=constants)


def _compile_steps(
    functions: Functions, abstract: TrainState, on_device: TrainState, mesh: Mesh
) -> tuple[Any, Any]:
    """Returns the jitted training and evaluation step.

    Args:
      functions: both are among them.
      abstract: the state between updates.
      on_device: the state during one.
      mesh: of the devices.
    """

    def train_step(state: TrainState, batch: Any) -> tuple[TrainState, Any]:
        if abstract.opt_state is not on_device.opt_state:  # offloaded
            shardings = get_shardings(on_device.opt_state)
            opt_state = jax.device_put(state.opt_state, shardings)
            state = state.replace(opt_state=opt_state)
        return functions.train_step(state, batch)

    rows, options = make_batch_sharding(mesh), make_compiler_options(mesh)
    shardings = get_shardings(abstract)
    jitted_train_step = jax.jit(
        bind_mesh(train_step, mesh),
        in_shardings=(shardings, rows),
        out_shardings=(shardings, replicate_sharding(mesh)),
        donate_argnums=0,
        compiler_options=options,
    )
    jitted_eval_step = jax.jit(
        bind_mesh(functions.eval_step, mesh),
        in_shardings=(shardings.evaluated, rows),
        out_shardings=replicate_sharding(mesh),
        compiler_options=options,
    )
    return jitted_train_step, jitted_eval_step
