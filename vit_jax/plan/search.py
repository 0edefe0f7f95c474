"""The best mesh, number of micro-batches and remat policy for a config."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from vit_jax import models
from vit_jax.config import Config, MeshConfig
from vit_jax.config.choices import REMAT
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh, shard_abstract
from vit_jax.plan.estimate import Plan, assemble_plan, find_devices
from vit_jax.plan.memory import count_memory
from vit_jax.plan.trial import compile_step, make_trial_program
from vit_jax.training.resolve import resolve_config

# Forward passes that a policy adds to the three of a step. "dots" recomputes what is no
# plain matrix product: the attention scores, 5 to 15% of a forward pass, and norms.
RECOMPUTED = {"none": 0.0, "dots": 0.15, "half": 0.5, "full": 1.0}


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
    """Plans every combination from shapes; compiles the best of them.

    Those that fit come first, the fastest before the others; a compiled plan is judged
    by what the compiler says. The batch size stays the config's.

    Args:
      config: of a run; its mesh, micro-batches and remat are replaced.
      topology: as `make_plan`'s, with ``chip`` and ``num_devices``.
      chip: a chip of the table; nothing is compiled.
      num_devices: of ``chip``.
      num_classes: of the head.
      remat: policies to try.
      micro_batches: numbers to try.
      max_tensor: the widest tensor axis.
      compile_best: how many to compile, best first, where that is possible.
      keep: how many to return.

    Raises:
      ConfigError: as `make_plan`; or no combination divides the batch.
    """
    config = resolve_config(config)
    devices = find_devices(topology, chip, num_devices)
    count, heads = len(devices), config.model.num_heads or 1
    # The state is traced once; only its layout depends on the mesh.
    mesh = make_mesh(MeshConfig(), devices)
    loose = _with(config, MeshConfig(), 1, "none")
    loose = dataclasses.replace(
        loose, data=dataclasses.replace(loose.data, batch_size=count)
    )
    state = make_trial_program(loose, num_classes, mesh).abstract_state
    axes = models.find_axes(config.model)
    plans: list[tuple[Plan, Config]] = []
    for sizes in _meshes(count, heads, max_tensor):
        mesh = make_mesh(sizes, devices)
        laid_out = shard_abstract(state, axes, mesh)
        for parts, policy in itertools.product(micro_batches, remat):
            if policy == "half" and config.model.scan:
                continue
            rows = mesh.shape["data"] * mesh.shape["fsdp"] * parts
            if config.data.batch_size % rows:
                continue
            tried = _with(config, sizes, parts, policy)
            counted = count_memory(tried, laid_out, mesh, num_classes)
            plan = assemble_plan(
                tried, mesh, laid_out, counted, num_classes=num_classes
            )
            hardware = {**plan.hardware, "topology": topology}
            plans.append((dataclasses.replace(plan, hardware=hardware), tried))
    if not plans:
        raise ConfigError(
            f"config.data.batch_size must be a multiple of a mesh's rows on {count} "
            f"devices, got {config.data.batch_size}; try {count}"
        )
    plans.sort(key=lambda pair: _rank(pair[0]))
    for i, (_, tried) in enumerate(plans[: 0 if chip else compile_best]):
        mesh = make_mesh(tried.mesh, devices)
        program = make_trial_program(tried, num_classes, mesh)
        trial = compile_step(tried, program, mesh)
        plan = assemble_plan(
            tried,
            mesh,
            program.abstract_state,
            count_memory(tried, program.abstract_state, mesh, num_classes),
            num_classes=num_classes,
            topology=topology,
            compiled=trial.memory,
            refused=trial.needed,
            summary=trial.summary,
            seconds=trial.seconds,
        )
        plans[i] = plan, tried
    found = [plan for plan, _ in plans]
    compiled = [plan for plan in found if plan.compile_seconds is not None]
    rest = [plan for plan in found if plan.compile_seconds is None]
    # A bound from shapes must not outrank an estimate of the compiler.
    return [*sorted(compiled, key=_rank), *rest][:keep]


def _meshes(count: int, heads: int, max_tensor: int) -> Iterator[MeshConfig]:
    for tensor in range(1, max_tensor + 1):
        if count % tensor or heads % tensor:
            continue
        for fsdp in range(1, count // tensor + 1):
            if count // tensor % fsdp == 0:
                yield MeshConfig(count // tensor // fsdp, fsdp, tensor)


def _with(config: Config, mesh: MeshConfig, parts: int, remat: str) -> Config:
    return dataclasses.replace(
        config,
        mesh=mesh,
        train=dataclasses.replace(config.train, accum_steps=parts),
        model=dataclasses.replace(config.model, remat=remat),
    )


def _rank(plan: Plan) -> tuple[bool, float]:
    """Orders plans: those that fit, then by the seconds of a step."""
    if plan.prediction is None:
        return not plan.fits, plan.needed
    seconds = plan.prediction.step[1]
    if plan.program is None:  # the compiler's cycles have it in them
        recomputed = RECOMPUTED.get(plan.run["remat"], 0.0)
        seconds += plan.prediction.matrix * recomputed / 3
    return not plan.fits, seconds
