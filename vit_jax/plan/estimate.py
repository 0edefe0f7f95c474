"""The plan of a run: does it fit, how fast would it be, and what that is based on."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.mesh.devices import find_chip_of_device
from vit_jax.mesh.sharding import make_mesh
from vit_jax.models.flops import count_training_flops
from vit_jax.plan.basis import explain_basis
from vit_jax.plan.memory import ProgramMemory
from vit_jax.plan.prediction import StepEstimate, estimate_step
from vit_jax.plan.summary import Summary
from vit_jax.plan.topology import describe_tpu, name_devices
from vit_jax.plan.trial import Trial, compile_step, make_trial_program
from vit_jax.training.memory import CountedMemory, count_memory
from vit_jax.training.resolve import resolve_config
from vit_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known about a training step before it runs; bytes are per device.

    Attributes:
      run: the settings of the config that memory and speed depend on.
      hardware: the topology or chip, and the number of devices.
      parameters: number of parameters of the model.
      flops_per_image: FLOPs of training on one image: three forward passes, two FLOPs
        per multiply-add.
      counted: memory counted from shapes.
      compiled: memory by the compiler; None where nothing was compiled.
      needed: bytes that the step needs, by the compiler if it compiled, else counted.
      capacity: bytes of the chip's memory; None for a device not in the table.
      fits: whether ``needed`` bytes fit into ``capacity``; None where that is unknown.
      program: cycles and collectives of the compiled program; None without one.
      prediction: of the speed; None for a device that is not in the table.
      rests_on: sentences on what the numbers are based on.
      compile_seconds: seconds of tracing and compiling; None where nothing was compiled.
    """

    run: dict[str, Any]
    hardware: dict[str, Any]
    parameters: int
    flops_per_image: int
    counted: CountedMemory
    compiled: ProgramMemory | None
    needed: int
    capacity: float | None
    fits: bool | None
    program: Summary | None
    prediction: StepEstimate | None
    rests_on: tuple[str, ...]
    compile_seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as JSON values, with versions and the command."""
        versions = {"jax": jax.__version__, "libtpu": _find_libtpu_version()}
        command = shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
        return {**dataclasses.asdict(self), "versions": versions, "command": command}


def make_plan(
    config: Config,
    *,
    topology: str | None = None,
    chip: str | None = None,
    num_devices: int = 1,
    num_classes: int = 1000,
    compiled: bool = True,
) -> Plan:
    """Plans the training step of a config; runs nothing.

    Args:
      config: of a run; its data is not read.
      topology: a TPU slice to compile for, present or not, such as ``v5e:4x4``.
      chip: a name of `devices.CHIPS`, to plan for from shapes alone. Without topology and
        chip, the plan is for the devices of this machine.
      num_devices: number of chips; used with ``chip`` only.
      num_classes: of the data.
      compiled: whether to compile; nothing is compiled for a ``chip``.

    Raises:
      ConfigError: the topology or chip is unknown, both are given, libtpu is missing, or
        the config does not fit the mesh; see `program.make_program`.

    Example:
      >>> make_plan(load_config("configs/vit_b16.py"), topology="v5e:2x4").fits
    """
    config = resolve_config(config)
    mesh = make_mesh(config.mesh, find_devices(topology, chip, num_devices))
    program = make_trial_program(config, num_classes, mesh)
    state = program.abstract_state
    trial = compile_step(config, program, mesh) if compiled and not chip else None
    return assemble_plan(
        config,
        mesh,
        state,
        trial,
        num_outputs=program.num_outputs,
        topology=topology,
    )


def find_devices(
    topology: str | None, chip: str | None, num_devices: int
) -> Sequence[jax.Device]:
    """Returns the devices to plan for: of a topology, a chip's, or this machine's.

    Raises:
      ConfigError: both are given, or one is unknown.
    """
    if topology and chip:
        raise ConfigError(
            f"topology and chip must not both be given, got {topology} and {chip}; "
            "a topology names its chip"
        )
    if topology:
        return describe_tpu(topology)
    return name_devices(chip, num_devices) if chip else jax.devices()


def assemble_plan(
    config: Config,
    mesh: Mesh,
    state: TrainState,
    trial: Trial | None,
    *,
    num_outputs: int | None,
    topology: str | None = None,
) -> Plan:
    """Makes a plan: counts the memory, and adds what compiling has shown.

    Args:
      config: resolved.
      mesh: to train on.
      state: abstract, with shardings.
      trial: of `trial.compile_step`; None: nothing was compiled.
      num_outputs: width of the head; None: no head.
      topology: its name, where the devices are of one.
    """
    chip = find_chip_of_device(list(mesh.devices.flat))
    flops = count_training_flops(config.model, num_outputs, config.data.image_size)
    counted = count_memory(config, state, mesh, num_outputs)
    compiled, refused, summary, seconds = trial or (None, None, None, None)
    needed = compiled.total if compiled else refused or counted.total
    capacity = chip.memory if chip else None
    fits = None if capacity is None else refused is None and needed <= capacity
    prediction = None
    if chip:
        prediction = estimate_step(config, mesh, chip, flops, counted, summary)
    return Plan(
        run=_describe(config, mesh, num_outputs),
        hardware={
            "topology": topology,
            "chip": chip.name if chip else mesh.devices.flat[0].device_kind,
            "num_devices": mesh.devices.size,
        },
        parameters=sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        flops_per_image=flops,
        counted=counted,
        compiled=compiled,
        needed=needed,
        capacity=capacity,
        fits=fits,
        program=summary,
        prediction=prediction,
        rests_on=tuple(explain_basis(chip, compiled, refused, summary)),
        compile_seconds=seconds,
    )


def _describe(config: Config, mesh: Mesh, num_outputs: int | None) -> dict[str, Any]:
    model = config.model
    return {
        "config": config.name,
        "variant": model.variant,
        "image_size": config.data.image_size,
        "batch_size": config.data.batch_size,
        "micro_batches": config.train.accum_steps,
        "num_classes": num_outputs,
        "dtype": model.dtype,
        "scan": model.scan,
        "remat": model.remat,
        "attention": model.attention,
        "optimizer": config.optim.name,
        "moment_dtype": config.optim.accumulator_dtype,
        "mesh": dict(mesh.shape),
    }


def _find_libtpu_version() -> str | None:
    from importlib import metadata

    try:
        return metadata.version("libtpu")
    except metadata.PackageNotFoundError:
        return None
