"""Training: build, restore or initialise, then step, log, evaluate and save."""

import collections
import contextlib
import dataclasses
import functools
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.checkpoints.card import (
    check_same_run,
    make_card,
    read_card,
    read_model_config,
)
from vit_jax.checkpoints.open import OpenOnce
from vit_jax.config import Config
from vit_jax.config.durations import Steps, resolve_steps
from vit_jax.data import loader, sources
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.prefetch import Prefetch
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import evaluate_batches
from vit_jax.mesh.devices import find_peak_rate
from vit_jax.mesh.distributed import AnyHost, exit_together, is_primary
from vit_jax.mesh.sharding import find_batch_share, make_mesh, shard_batch
from vit_jax.models.flops import count_training_flops
from vit_jax.models.progressive import make_size_at
from vit_jax.plan.out_of_memory import explain_out_of_memory
from vit_jax.storage.bucket import open_location
from vit_jax.storage.mirror import Mirror
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.events import log_event
from vit_jax.training.interrupts import Interrupts
from vit_jax.training.metrics import MetricsLog, SilentLog
from vit_jax.training.profiler import Profiler
from vit_jax.training.program import Program, make_program
from vit_jax.training.resolve import resolve_config
from vit_jax.training.start import start_state
from vit_jax.training.state import TrainState
from vit_jax.training.workdir import (
    find_bad_files_path,
    list_appended_files,
    make_folder,
    write_config,
)

# Updates given to the device before the oldest of them must be done: enough that it
# never waits for us, few enough that batches do not pile up in its memory.
IN_FLIGHT = 2


class Diverged(ConfigError):
    """The loss or the gradient is infinite or not a number, and stays so."""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int  # completed updates
    metrics: dict[str, float]  # of the last evaluation
    seconds: float  # that this process trained, evaluation and saving included
    interrupted_by: int | None = None  # a signal's number
    num_bad_files: int = 0  # images skipped, named in the workdir's bad_files.txt


@exit_together()
def train(config: Config, workdir: str | Path) -> Result:
    """Trains, or goes on where the workdir's last checkpoint ends, bit for bit.

    Args:
      config: the run; see `vit_jax.load_config`.
      workdir: gets `config.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`; a
        folder that every host sees, or ``gs://BUCKET/PATH``.

    Raises:
      ConfigError: a mistake in the config, the data or the workdir, in one line.

    Example:
      >>> train(load_config("configs/digits.py"), "runs/digits").metrics["top1"]
    """
    workdir = open_location(workdir)
    with Mirror(workdir, list_appended_files()) as files:
        return _train(config, workdir, files)


def _train(config: Config, workdir: Path, files: Mirror) -> Result:
    card = read_card(workdir)
    name = None if card else config.init.checkpoint
    start = OpenOnce(name) if name else None
    config = resolve_config(config, read_model_config(card) if card else None, start)
    mesh = make_mesh(config.mesh)
    source = sources.make_source(config.data, config.data.train_split)
    eval_source = sources.make_source(config.data, config.data.eval_split)
    steps = resolve_steps(config, source.num_examples)
    program = make_program(config, steps, source.num_classes, mesh)
    index, count = find_batch_share(mesh)
    hosts = {"process_index": index, "process_count": count}
    _check_labels(config, source)
    bad_files = BadFiles(find_bad_files_path(files.folder), config.data.max_bad_files)
    options: Any = {**hosts, "bad_files": bad_files}
    batches = Prefetch(
        loader.train_batches(
            source,
            config.data,
            seed=config.seed,
            size_at=make_size_at(config, steps.total),
            **options,
        ),
        functools.partial(shard_batch, mesh=mesh),
    )
    eval_batches = loader.eval_batches(eval_source, config.data, **options)
    with (
        contextlib.closing(batches),
        explain_out_of_memory(config, program.abstract_state, mesh, source.num_classes),
    ):
        result = _run(
            config,
            workdir,
            files,
            card,
            start,
            mesh,
            steps,
            program,
            source,
            batches,
            eval_batches,
        )
    return dataclasses.replace(result, num_bad_files=len(bad_files))


def _run(
    config: Config,
    workdir: Path,
    files: Mirror,
    card: dict[str, Any] | None,
    start: OpenOnce | None,
    mesh: Mesh,
    steps: Steps,
    program: Program,
    source: sources.Source,
    batches: Prefetch,
    eval_batches: loader.EvalBatches,
) -> Result:
    notes: Sequence[str] = ()
    if card:
        notes = check_same_run(card, config, source.num_classes, source.class_names)
        if card["step"] > steps.total:
            raise ConfigError(
                f"config.train.total_* must be at least the {card['step']} steps that "
                f"{workdir} has done, got {steps.total}; choose another --workdir"
            )
    if is_primary():
        make_folder(workdir)
    checkpoints = Checkpoints(workdir, config.train.keep_checkpoints)
    checkpoints.check_space(program.abstract_state)
    metrics: dict[str, float] = {}
    evaluated: int | None = None  # after how many updates
    if card:
        state, position = checkpoints.restore(program.abstract_state)
        batches.set_state(position)
        metrics, evaluated = card["metrics"], card.get("metrics_step")
    else:
        state, notes = start_state(config, program, source, mesh, start)
    if is_primary():  # only now: a run that is refused leaves no trace
        write_config(config, files.folder)
    first = int(state.step)
    profiler = Profiler(config.profile, files.folder)
    size_at = make_size_at(config, steps.total)

    def peak_at(step: int) -> float | None:
        flops = count_training_flops(
            config.model, source.num_classes, size_at(step - 1)
        )
        return find_peak_rate(flops, mesh.devices.flat)

    make_log: Any = MetricsLog if is_primary() else SilentLog
    log = make_log(
        files.folder,
        first,
        steps.total,
        config.data.batch_size,
        peak_at,
    )
    if first:
        log.say(f"resumed from {workdir} at step {first}/{steps.total}")
    if is_primary():
        event = "resumed" if first else "started"
        log_event(files.folder, first, event, _devices(mesh))
    files.start()
    for note in notes:
        log.say(f"note: {note}")

    def sound() -> dict[str, float]:
        values = _to_floats(update)
        if not all(map(math.isfinite, values.values())):
            raise Diverged(
                f"loss and gradient must be finite, got {values['loss']} and "
                f"{values['gradient_norm']} at step {step}; lower "
                "config.optim.learning_rate, or lengthen its warm-up, and repeat the "
                f"command: it goes on from step {saved}"
            )
        return values

    def save() -> None:
        sound()  # a checkpoint is a state from which a run can go on
        files.copy()  # what led to it is there before it is
        names = source.class_names
        card = make_card(config, source.num_classes, names, metrics, evaluated)
        # Not what was drawn: an error may stand between a draw and its update.
        checkpoints.save(state, {"step": int(state.step)}, card)

    def due(every: int) -> bool:
        return step % every == 0 or step == steps.total

    started = time.perf_counter()
    in_flight: collections.deque[Any] = collections.deque()
    step, saved, stopped_by = first, first, 0
    any_host = AnyHost(mesh)
    with Interrupts() as interrupts:
        try:
            while step < steps.total:
                stopped_by = any_host(interrupts.received or 0)
                if stopped_by:
                    break
                profiler.before(step + 1, state)
                waited = batches.waited
                state, update = program.train_step(state, next(batches))
                log.waited(batches.waited - waited)
                step += 1
                profiler.after(step, update)
                if step == first + 1:
                    jax.block_until_ready(update)
                    log.begin(step)
                in_flight.append(update)
                if len(in_flight) > IN_FLIGHT:
                    jax.block_until_ready(in_flight.popleft())
                if due(steps.log_every):
                    log.train(step, sound())
                elif due(steps.eval_every) or due(steps.save_every):
                    sound()  # waits for what is in flight, which is training, no pause
                aside = time.perf_counter()
                if due(steps.eval_every):
                    metrics = evaluate_batches(
                        program.eval_step, state.eval_params, eval_batches, mesh
                    )
                    evaluated = step
                    log.evaluation(step, metrics)
                if due(steps.save_every):
                    save()
                    saved = step
                log.pause(time.perf_counter() - aside)
        finally:
            if is_primary():
                with contextlib.suppress(OSError):  # a full disk must not stop the save
                    _log_end(files.folder, step, stopped_by)
            # The one door: an interrupt or an error in the data loses no finished step.
            # Not where one process of several fails: the others cannot save with it.
            error = sys.exc_info()[1]
            at_once = isinstance(error, KeyboardInterrupt)  # who asks twice
            together = not at_once and (jax.process_count() == 1 or error is None)
            is_sound = not isinstance(error, Diverged) and not _is_donated(state)
            try:
                if together and step > saved and is_sound:
                    save()
                if together:
                    checkpoints.wait()
            finally:
                profiler.close()
                log.close()
                if together:
                    checkpoints.close()
    seconds = time.perf_counter() - started
    return Result(step, metrics, seconds, stopped_by or None)


def _check_labels(config: Config, source: sources.Source) -> None:
    """Raises ConfigError where the loss does not suit the images' labels."""
    if source.multi_label and config.train.loss != "sigmoid":
        raise ConfigError(
            "config.train.loss must be sigmoid for images with several labels, got "
            f'"{config.train.loss}"; add --config.train.loss=sigmoid'
        )
    if source.num_classes < 2 and config.train.loss == "softmax":
        raise ConfigError(
            f"{config.data.source} must have at least 2 classes for a model to tell "
            f"apart, got {source.num_classes}; put the images of each class into a "
            "folder of its own, or give each its label"
        )


def _devices(mesh: Mesh) -> str:
    text = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    count = jax.process_count()
    return text if count == 1 else f"{text}, {count} processes"


def _log_end(folder: Path, step: int, stopped_by: int) -> None:
    """Notes how the run ended; called while an error is under way, if there is one."""
    error = sys.exc_info()[1]
    if error is not None:
        text = (str(error).splitlines() or [""])[0]
        log_event(folder, step, "failed", f"{type(error).__name__}: {text}")
    elif stopped_by:
        log_event(folder, step, "interrupted", signal.Signals(stopped_by).name)
    else:
        log_event(folder, step, "finished")


def _is_donated(state: TrainState) -> bool:
    return any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def _to_floats(values: dict[str, jax.Array]) -> dict[str, float]:
    return {name: value.item() for name, value in jax.device_get(values).items()}
