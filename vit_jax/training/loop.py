"""Training: build a run, then step, log, evaluate and save until it ends."""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from vit_jax.config import Config
from vit_jax.data.augment.device import Augment
from vit_jax.data.sources import Source
from vit_jax.mesh.distributed import AnyHost, exit_together, is_primary
from vit_jax.objectives.objective import MakeObjective
from vit_jax.storage.bucket import open_location
from vit_jax.storage.mirror import Mirror
from vit_jax.training.build import build_run
from vit_jax.training.callbacks import Callback
from vit_jax.training.events import log_event
from vit_jax.training.given import Given, register_given
from vit_jax.training.interrupts import Interrupts
from vit_jax.training.optimizers import MakeOptimizer
from vit_jax.training.run import Diverged, Run
from vit_jax.training.workdir import list_appended_files


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int  # completed updates
    metrics: dict[str, float]  # of the last evaluation
    seconds: float  # that this process trained, evaluation and saving included
    interrupted_by: int | None = None  # a signal's number
    num_bad_files: int = 0  # images skipped, named in the workdir's bad_files.txt
    summary: str = ""  # the metrics, as the objective describes them


@exit_together()
def train(
    config: Config,
    workdir: str | Path,
    source: Source | None = None,
    eval_source: Source | None = None,
    objective: MakeObjective | None = None,
    optimizer: MakeOptimizer | None = None,
    augment: Augment | None = None,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Trains, or resumes from the workdir's last checkpoint, bit for bit.

    What is given beside config and workdir takes the place of what the config names. It
    must be given again when the run is resumed, and be a pure function of seed and
    step; see the protocols.

    Args:
      config: the run; see `vit_jax.load_config`.
      workdir: gets `config.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`; a
        folder that every host sees, or ``gs://BUCKET/PATH``.
      source: the images to learn from, instead of ``config.data.source``.
      eval_source: the images to evaluate on; needed with ``source``.
      objective: what is learned, instead of ``config.objective.name``.
      optimizer: instead of ``config.optim.name``.
      augment: instead of ``config.data.augment``.
      callbacks: called with each line of the log.

    Raises:
      ConfigError: a mistake in the config, the data or the workdir, in one line.

    Example:
      >>> train(load_config("configs/digits.py"), "runs/digits").metrics["top1"]
    """
    config = register_given(config, objective, optimizer, augment, source)
    given = Given(source, eval_source, callbacks)
    workdir = open_location(workdir)
    with (
        Mirror(workdir, list_appended_files()) as files,
        build_run(config, workdir, files, given) as run,
    ):
        started = time.perf_counter()
        run_steps(run)
        return Result(
            step=run.step,
            metrics=run.metrics,
            seconds=time.perf_counter() - started,
            interrupted_by=run.stopped_by or None,
            num_bad_files=len(run.setup.bad_files),
            summary=run.describe_metrics(),
        )


def run_steps(run: Run) -> None:
    """Makes the updates that are left, and what is due after each."""
    steps, any_host = run.setup.steps, AnyHost(run.setup.mesh)
    with Interrupts() as interrupts, save_on_exit(run):
        while run.step < steps.total:
            run.stopped_by = any_host(interrupts.received or 0)
            if run.stopped_by:
                break
            run.update()
            if run.is_due(steps.log_every):
                run.report()
            elif run.is_due(steps.eval_every) or run.is_due(steps.save_every):
                run.fetch_sound()  # waits for updates in flight: training, no pause
            aside = time.perf_counter()
            if run.is_due(steps.eval_every):
                run.evaluate()
            if run.is_due(steps.save_every):
                run.save()
            run.log.pause(time.perf_counter() - aside)


@contextlib.contextmanager
def save_on_exit(run: Run) -> Iterator[None]:
    """The one way out: at the end, at a signal and at an error, what is sound is saved.

    Not where one process of several fails: the others cannot save with it.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if is_primary():
            with contextlib.suppress(OSError):  # a full disk must not stop the save
                _log_end(run, error)
        at_once = isinstance(error, KeyboardInterrupt)  # who asks twice
        together = not at_once and (jax.process_count() == 1 or error is None)
        is_sound = not isinstance(error, Diverged) and not _is_donated(run)
        try:
            if together and run.step > run.saved and is_sound:
                run.save()
            if together:
                run.checkpoints.wait()
        finally:
            run.profiler.close()
            run.log.close()
            if together:
                run.checkpoints.close()


def _log_end(run: Run, error: BaseException | None) -> None:
    folder = run.setup.files.folder
    if error is not None:
        text = (str(error).splitlines() or [""])[0]
        log_event(folder, run.step, "failed", f"{type(error).__name__}: {text}")
    elif run.stopped_by:
        name = signal.Signals(run.stopped_by).name
        log_event(folder, run.step, "interrupted", name)
    else:
        log_event(folder, run.step, "finished")


def _is_donated(run: Run) -> bool:
    return any(leaf.is_deleted() for leaf in jax.tree.leaves(run.state))
