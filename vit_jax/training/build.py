"""A run, built: data, program, and the state that it starts from or resumes."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from vit_jax.checkpoints.card import check_same_run, read_card, read_model_config
from vit_jax.checkpoints.open import OpenOnce
from vit_jax.config import Config
from vit_jax.config.durations import resolve_steps
from vit_jax.data import loader
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.prefetch import Prefetch
from vit_jax.errors import ConfigError
from vit_jax.mesh.devices import find_peak_rate
from vit_jax.mesh.distributed import is_primary
from vit_jax.mesh.sharding import find_batch_share, make_mesh, shard_batch
from vit_jax.models.flops import count_training_flops
from vit_jax.storage.mirror import Mirror
from vit_jax.training.axes import find_objective_axes
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.events import log_event
from vit_jax.training.functions import make_objective
from vit_jax.training.given import Given, open_sources
from vit_jax.training.metrics import MetricsLog, SilentLog
from vit_jax.training.out_of_memory import explain_out_of_memory
from vit_jax.training.profiler import Profiler
from vit_jax.training.program import make_program
from vit_jax.training.progressive import make_size_at
from vit_jax.training.resolve import resolve_config
from vit_jax.training.run import Run, Setup
from vit_jax.training.start import open_constants, start_state
from vit_jax.training.workdir import find_bad_files_path, make_folder, write_config


@contextlib.contextmanager
def build_run(
    config: Config, workdir: Path, files: Mirror, given: Given
) -> Iterator[Run]:
    """Yields the run, ready for its first update in this process.

    While it is open, a full memory is explained; afterwards no batch is read any more.

    Raises:
      ConfigError: a mistake in the config, the data or the workdir.
    """
    card = read_card(workdir)
    name = None if card else config.init.checkpoint
    start = OpenOnce(name) if name else None
    config = resolve_config(config, read_model_config(card) if card else None, start)
    setup = _set_up(config, workdir, files, given)
    program = setup.program
    with (
        contextlib.closing(setup.batches),
        explain_out_of_memory(
            config, program.abstract_state, setup.mesh, program.num_outputs
        ),
    ):
        notes = _check_workdir(setup, card)
        checkpoints = Checkpoints(workdir, config.train.keep_checkpoints)
        checkpoints.check_space(program.abstract_state)
        if card:
            axes = find_objective_axes(program.objective)
            state, position = checkpoints.restore(program.abstract_state, axes)
            state = program.hand_constants(state)
            setup.batches.set_state(position)
        else:
            state, notes = start_state(config, program, setup.source, setup.mesh, start)
        if is_primary():  # only now: a run that is refused leaves no trace
            write_config(config, files.folder)
        run = Run(
            setup,
            checkpoints,
            log=_open_log(setup, int(state.step)),
            profiler=Profiler(config.profile, files.folder),
            state=state,
            metrics=card["metrics"] if card else {},
            evaluated=card.get("metrics_step") if card else None,
        )
        _announce(run, notes)
        yield run


def _set_up(config: Config, workdir: Path, files: Mirror, given: Given) -> Setup:
    """Opens the data, and builds the program; writes nothing."""
    mesh = make_mesh(config.mesh)
    source, eval_source = open_sources(config, given)
    steps = resolve_steps(config, source.num_examples)
    objective = make_objective(config, source.num_classes)
    constants = open_constants(objective, mesh)
    program = make_program(config, steps, source.num_classes, mesh, constants)
    index, count = find_batch_share(mesh)
    objective.check(source)
    bad_files = BadFiles(find_bad_files_path(files.folder), config.data.max_bad_files)
    options: Any = {
        "process_index": index,
        "process_count": count,
        "bad_files": bad_files,
    }
    batches = loader.make_train_batches(
        source,
        config.data,
        seed=config.seed,
        size_at=make_size_at(config, steps.total),
        **options,
    )
    return Setup(
        config=config,
        workdir=workdir,
        files=files,
        mesh=mesh,
        steps=steps,
        source=source,
        program=program,
        batches=Prefetch(batches, functools.partial(shard_batch, mesh=mesh)),
        eval_batches=loader.make_eval_batches(eval_source, config.data, **options),
        bad_files=bad_files,
        callbacks=given.callbacks,
    )


def _check_workdir(setup: Setup, card: dict[str, Any] | None) -> Sequence[str]:
    """Makes the workdir, or returns what differs from the run that it holds.

    Raises:
      ConfigError: it is another run's, is further than this one goes, or cannot be
        written to.
    """
    notes: Sequence[str] = ()
    if card:
        objective, width = setup.program.objective, setup.program.num_outputs
        names = objective.name_outputs(setup.source)
        notes = check_same_run(card, setup.config, width, names)
        if card["step"] > setup.steps.total:
            raise ConfigError(
                f"config.train.total_* must be at least the {card['step']} steps that "
                f"{setup.workdir} has done, got {setup.steps.total}; choose another "
                "--workdir"
            )
    if is_primary():
        make_folder(setup.workdir)
    return notes


def _open_log(setup: Setup, step: int) -> MetricsLog | SilentLog:
    if not is_primary():
        return SilentLog()
    config, width = setup.config, setup.program.num_outputs or 0
    size_at = make_size_at(config, setup.steps.total)

    def peak_at(step: int) -> float | None:
        flops = count_training_flops(config.model, width, size_at(step - 1))
        return find_peak_rate(flops, setup.mesh.devices.flat)

    return MetricsLog(
        setup.files.folder,
        step,
        setup.steps.total,
        config.data.batch_size,
        peak_at,
        setup.program.objective.describe,
    )


def _announce(run: Run, notes: Sequence[str]) -> None:
    """Logs how the run begins, and starts the copying of its files."""
    setup, step = run.setup, run.step
    if step:
        run.log.say(f"resumed from {setup.workdir} at step {step}/{setup.steps.total}")
    if is_primary():
        devices = f"{setup.mesh.size} x {setup.mesh.devices.flat[0].device_kind}"
        if jax.process_count() > 1:
            devices += f", {jax.process_count()} processes"
        event = "resumed" if step else "started"
        log_event(setup.files.folder, step, event, devices)
    setup.files.start()
    for note in notes:
        run.log.say(f"note: {note}")
