"""Training: build, restore or initialise, then step, log, evaluate and save."""

import collections
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.checkpoint import (
    Checkpoints,
    check_same_model,
    load_trained,
    make_card,
    read_card,
)
from vit_jax.config import Config, ConfigError
from vit_jax.data import loader, sources
from vit_jax.devices import peak_rate
from vit_jax.durations import resolve_steps
from vit_jax.evaluate import evaluate_batches
from vit_jax.flops import training_flops
from vit_jax.interrupts import Interrupts
from vit_jax.metrics import MetricsLog
from vit_jax.profiler import Profiler
from vit_jax.program import Program, make_program, resolve
from vit_jax.sharding import make_mesh, path_name, to_mesh
from vit_jax.state import TrainState

# Updates given to the device before the oldest of them must be done: enough that it
# never waits for us, few enough that batches do not pile up in its memory.
IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int  # completed updates
    metrics: dict[str, float]  # of the last evaluation
    seconds: float  # that this process trained, evaluation and saving included
    interrupted_by: int | None = None  # a signal's number


def train(config: Config, workdir: str | Path) -> Result:
    """Trains, or goes on where the workdir's last checkpoint ends, bit for bit.

    Args:
      config: the run; see `vit_jax.load_config`.
      workdir: gets `config.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`.

    Raises:
      ConfigError: a mistake in the config, the data or the workdir, in one line.

    Example:
      >>> train(load_config("configs/digits.py"), "runs/digits").metrics["top1"]
    """
    config, workdir = resolve(config), Path(workdir)
    mesh = make_mesh(config.mesh)
    source = sources.make_source(config.data, config.data.train_split)
    eval_source = sources.make_source(config.data, config.data.eval_split)
    steps = resolve_steps(config, source.num_examples)
    program = make_program(config, steps, source.num_classes, mesh)
    hosts = {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }
    batches = loader.train_batches(source, config.data, seed=config.seed, **hosts)
    eval_batches = loader.eval_batches(eval_source, config.data, **hosts)

    card = read_card(workdir)
    if card:
        check_same_model(card, config, source.num_classes)
    _write_config(config, workdir)
    checkpoints = Checkpoints(workdir, config.train.keep_checkpoints)
    checkpoints.check_space(program.abstract_state)
    metrics: dict[str, float] = {}
    if card:
        state, position = checkpoints.restore(program.abstract_state)
        batches.set_state(position)
        metrics = card["metrics"]
    else:
        state = _start(config, program, mesh)
    first = int(state.step)
    profiler = Profiler(config.profile, workdir)
    flops = training_flops(config.model, source.num_classes, config.data.image_size)
    log = MetricsLog(
        workdir,
        first,
        steps.total,
        config.data.batch_size,
        peak_rate(flops, mesh.devices.flat),
    )
    if first:
        log.say(f"resumed from {workdir} at step {first}/{steps.total}")

    def save() -> None:
        names = source.class_names
        card = make_card(config, source.num_classes, names, metrics)
        checkpoints.save(state, batches.get_state(), card)

    def due(every: int) -> bool:
        return step % every == 0 or step == steps.total

    started = time.perf_counter()
    in_flight: collections.deque[Any] = collections.deque()
    step, saved = first, first
    with Interrupts() as interrupts:
        try:
            while step < steps.total and not interrupts.received:
                profiler.before(step + 1, state)
                state, update = program.train_step(state, to_mesh(next(batches), mesh))
                step += 1
                profiler.after(step, update)
                if step == first + 1:
                    jax.block_until_ready(update)
                    log.begin(step)
                in_flight.append(update)
                if len(in_flight) > IN_FLIGHT:
                    jax.block_until_ready(in_flight.popleft())
                if due(steps.log_every):
                    log.train(step, _to_floats(update))
                aside = time.perf_counter()
                if due(steps.eval_every):
                    metrics = evaluate_batches(
                        program.eval_step, state.best_params, eval_batches, mesh
                    )
                    log.evaluation(step, metrics)
                if due(steps.save_every):
                    save()
                    saved = step
                log.pause(time.perf_counter() - aside)
        finally:
            # The one door: an interrupt or an error in the data loses no finished step.
            try:
                if step > saved and not _is_donated(state):
                    save()
                checkpoints.wait()
            finally:
                profiler.close()
                log.close()
                checkpoints.close()
    seconds = time.perf_counter() - started
    return Result(step, metrics, seconds, interrupts.received)


def _start(config: Config, program: Program, mesh: Mesh) -> TrainState:
    """Returns the first state: fresh, or with the parameters of another run.

    A head of another width stays fresh.

    Raises:
      ConfigError: the other run's model differs in more than the head.
    """
    state = program.init()
    if config.init.checkpoint is None:
        return state
    trained = load_trained(config.init.checkpoint, mesh)
    there = {
        path_name(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(trained.params)
    }
    differ = []

    def pick(path: tuple[Any, ...], fresh: jax.Array) -> jax.Array:
        name = path_name(path)
        loaded = there.get(name)
        if loaded is not None and loaded.shape == fresh.shape:
            return loaded
        if not name.startswith("head"):
            shape = "missing" if loaded is None else f"{loaded.shape}"
            differ.append(f"{name} is {shape} there, {fresh.shape} here")
        return fresh

    params = jax.tree_util.tree_map_with_path(pick, state.params)
    if differ:
        raise ConfigError(
            f"config.init.checkpoint {config.init.checkpoint} does not fit "
            f"config.model: {'; '.join(differ[:3])}"
            f"{f' and {len(differ) - 3} more' if len(differ) > 3 else ''}; "
            "set the model's dimensions and image size to those of the checkpoint"
        )
    return state.replace(params=params)


def _write_config(config: Config, workdir: Path) -> None:
    """Makes the workdir and leaves the resolved config in it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        unfinished = workdir / "config.json.tmp"
        unfinished.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
        os.replace(unfinished, workdir / "config.json")
    except OSError as error:
        raise ConfigError(
            f"workdir {workdir} cannot be written to: {error.strerror}; choose another "
            "--workdir"
        ) from error


def _is_donated(state: TrainState) -> bool:
    return any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def _to_floats(values: dict[str, jax.Array]) -> dict[str, float]:
    return {name: value.item() for name, value in jax.device_get(values).items()}
