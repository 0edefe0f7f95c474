"""The best mesh, number of micro-batches and remat policy for a config."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import jax

from vit_jax.config import Config, MeshConfig
from vit_jax.config.choices import REMAT
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh, shard_abstract
from vit_jax.plan.estimate import Plan, assemble_plan, find_devices
from vit_jax.plan.trial import compile_step, make_trial_program
from vit_jax.training.axes import find_state_axes
from vit_jax.training.resolve import resolve_config

# Forward passes that a policy adds to the three of a step. "dots" recomputes all but the
# plain matrix products: the attention scores, 5 to 15% of a forward pass, and norms.
RECOMPUTED = {"none": 0.0, "dots": 0.15, "half": 0.5, "full": 1.0}

Devices = Sequence[jax.Device]


def search_plans(
    config: Config,
    *,
    topology: str | None = None,
    chip: str | None = None,
    num_devices: int = 1,
    num_classes: int = 1000,
    remat: Sequence[str] = tuple(REMAT),
    micro_batches: Sequence[int] = (1, 2, 4, 8),
    max_tensor: int = 8,
    compile_best: int = 3,
    keep: int = 10,
) -> list[Plan]:
    """Plans every combination from shapes, compiles the best, and returns the best.

    Plans that fit come before those that do not, and compiled plans before the others;
    faster plans come first. The batch size stays the config's.

    Args:
      config: of a run; its mesh, micro-batches and remat policy are replaced.
      topology: a TPU slice to compile for, present or not, such as ``v5e:4x4``.
      chip: a name of `devices.CHIPS`, to plan for from shapes alone; nothing is compiled.
      num_devices: number of chips; used with ``chip`` only.
      num_classes: of the data.
      remat: policies to try.
      micro_batches: numbers of micro-batches to try.
      max_tensor: largest size of the tensor axis.
      compile_best: number of plans to compile, the best by shapes.
      keep: number of plans to return.

    Raises:
      ConfigError: as `make_plan`, or the batch cannot be split over any mesh.
    """
    config = resolve_config(config)
    devices = find_devices(topology, chip, num_devices)
    sizes = list(_list_meshes(len(devices), config.model.num_heads or 1, max_tensor))
    tried = [
        _replace(config, mesh, parts, policy)
        for mesh, parts, policy in itertools.product(sizes, micro_batches, remat)
    ]
    plans = list(_count_plans(config, tried, devices, num_classes, topology))
    if not plans:
        raise ConfigError(
            "config.data.batch_size must be a multiple of a mesh's data and fsdp axes on "
            f"{len(devices)} devices, got {config.data.batch_size}; try {len(devices)}"
        )
    plans.sort(key=lambda pair: _rank(pair[0]))
    count = 0 if chip else compile_best
    compiled = [
        _compile_plan(tried, devices, num_classes, topology)
        for _, tried in plans[:count]
    ]
    rest = [plan for plan, _ in plans[count:]]
    # A bound from shapes must not outrank an estimate of the compiler.
    return [*sorted(compiled, key=_rank), *rest][:keep]


def _count_plans(
    config: Config,
    tried: Sequence[Config],
    devices: Devices,
    num_classes: int,
    topology: str | None,
) -> Iterator[tuple[Plan, Config]]:
    """Plans each config whose batch can be split, from shapes alone."""
    # The state is traced once; only its shardings depend on the mesh.
    loose = _replace(config, MeshConfig(), 1, "none")
    data = dataclasses.replace(loose.data, batch_size=len(devices))
    loose = dataclasses.replace(loose, data=data)
    mesh = make_mesh(MeshConfig(), devices)
    program = make_trial_program(loose, num_classes, mesh)
    state, axes = (
        program.abstract_state,
        find_state_axes(config.model, program.objective),
    )
    for sizes, group in itertools.groupby(tried, key=lambda one: one.mesh):
        mesh = make_mesh(sizes, devices)
        sharded = shard_abstract(state, axes, mesh)
        for one in group:
            if one.model.remat == "half" and one.model.scan:
                continue
            rows = mesh.shape["data"] * mesh.shape["fsdp"] * one.train.accum_steps
            if one.data.batch_size % rows:
                continue
            plan = assemble_plan(
                one,
                mesh,
                sharded,
                None,
                num_outputs=program.num_outputs,
                topology=topology,
            )
            yield plan, one


def _compile_plan(
    config: Config, devices: Devices, num_classes: int, topology: str | None
) -> Plan:
    mesh = make_mesh(config.mesh, devices)
    program = make_trial_program(config, num_classes, mesh)
    trial = compile_step(config, program, mesh)
    state = program.abstract_state
    return assemble_plan(
        config,
        mesh,
        state,
        trial,
        num_outputs=program.num_outputs,
        topology=topology,
    )


def _list_meshes(count: int, heads: int, max_tensor: int) -> Iterator[MeshConfig]:
    for tensor in range(1, max_tensor + 1):
        if count % tensor or heads % tensor:
            continue
        for fsdp in range(1, count // tensor + 1):
            if count // tensor % fsdp == 0:
                yield MeshConfig(count // tensor // fsdp, fsdp, tensor)


def _replace(config: Config, mesh: MeshConfig, parts: int, remat: str) -> Config:
    return dataclasses.replace(
        config,
        mesh=mesh,
        train=dataclasses.replace(config.train, accum_steps=parts),
        model=dataclasses.replace(config.model, remat=remat),
    )


def _rank(plan: Plan) -> tuple[bool, float]:
    """Orders plans: those that fit first, then by the seconds of a step."""
    if plan.prediction is None:
        return not plan.fits, plan.needed
    seconds = plan.prediction.step[1]
    if plan.program is None:  # a compiled program's cycles include the recomputation
        recomputed = RECOMPUTED.get(plan.run["remat"], 0.0)
        seconds += plan.prediction.matrix * recomputed / 3
    return not plan.fits, seconds
