"""A run: what it is made of, how far it is, and what it does at each step."""

import collections
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.checkpoints.card import make_card
from vit_jax.config import Config
from vit_jax.config.durations import Steps
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.loader import EvalBatches
from vit_jax.data.prefetch import Prefetch
from vit_jax.data.sources import Source
from vit_jax.errors import ConfigError
from vit_jax.objectives.evaluate import evaluate_batches
from vit_jax.storage.mirror import Mirror
from vit_jax.training.callbacks import Callback
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.metrics import MetricsLog, SilentLog
from vit_jax.training.profiler import Profiler
from vit_jax.training.program import Program
from vit_jax.training.state import TrainState

# Updates given to the device before the oldest of them must be done: enough that it
# never waits for us, few enough that batches do not pile up in its memory.
IN_FLIGHT = 2


class Diverged(ConfigError):
    """The loss, the gradient or a metric is infinite or not a number."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a run is made of, and what stays as it is.

    Attributes:
      files: the folder that logs are written to, copied to a workdir in a bucket.
      source: of the images to learn from.
    """

    config: Config
    workdir: Path
    files: Mirror
    mesh: Mesh
    steps: Steps
    source: Source
    program: Program
    batches: Prefetch
    eval_batches: EvalBatches
    bad_files: BadFiles
    callbacks: Sequence[Callback]


@dataclasses.dataclass
class Run:
    """One run in this process: how far it is, and what it does at each step.

    Attributes:
      state: after ``step`` completed updates, of which this process made those after
        ``first``, and the newest checkpoint holds ``saved``.
      metrics: of the last evaluation, which was after ``evaluated`` updates.
      stopped_by: a signal's number; 0: none.
    """

    setup: Setup
    checkpoints: Checkpoints
    log: MetricsLog | SilentLog
    profiler: Profiler
    state: TrainState
    metrics: dict[str, float]
    evaluated: int | None = None
    stopped_by: int = 0

    def __post_init__(self) -> None:
        self.step = self.first = self.saved = int(self.state.step)
        self._latest: dict[str, jax.Array] = {}
        self._in_flight: collections.deque[Any] = collections.deque()

    def is_due(self, every: int) -> bool:
        """Returns whether something that is done every so many updates is due."""
        return self.step % every == 0 or self.step == self.setup.steps.total

    def update(self) -> None:
        """Draws a batch, and has the devices make an update of it."""
        self.profiler.before(self.step + 1, self.state)
        batches = self.setup.batches
        waited = batches.waited
        self.state, self._latest = self.setup.program.train_step(
            self.state, next(batches)
        )
        self.log.waited(batches.waited - waited)
        self.step += 1
        self.profiler.after(self.step, self._latest)
        if self.step == self.first + 1:
            jax.block_until_ready(self._latest)
            self.log.begin(self.step)
        self._in_flight.append(self._latest)
        if len(self._in_flight) > IN_FLIGHT:
            jax.block_until_ready(self._in_flight.popleft())

    def fetch_sound(self) -> dict[str, float]:
        """Returns the values of the last update, once it is done.

        Raises:
          Diverged: one of them is not finite.
        """
        values = _to_floats(self._latest)
        if wrong := [name for name, x in values.items() if not math.isfinite(x)]:
            got = " and ".join(f"{name} {values[name]}" for name in wrong)
            raise Diverged(
                f"what a step measures must be finite, got {got} at step {self.step}; "
                "lower config.optim.learning_rate, or lengthen its warm-up, and repeat "
                f"the command: it resumes from step {self.saved}"
            )
        return values

    def report(self) -> None:
        """Logs the last update."""
        values = self.fetch_sound()
        self.log.train(self.step, values)
        self._call_back("train", values)

    def evaluate(self) -> None:
        """Evaluates, and logs the metrics."""
        program = self.setup.program
        self.metrics = evaluate_batches(
            program.eval_step,
            self.state.evaluated,
            self.setup.eval_batches,
            self.setup.mesh,
            program.objective.finish,
        )
        self.evaluated = self.step
        self.log.evaluation(self.step, self.metrics)
        self._call_back("eval", self.metrics)

    def save(self) -> None:
        """Starts writing a checkpoint."""
        self.fetch_sound()  # a checkpoint is a state from which a run can be resumed
        self.setup.files.copy()  # what led to it is there before it is
        program = self.setup.program
        card = make_card(
            self.setup.config,
            program.num_outputs,
            program.objective.name_outputs(self.setup.source),
            self.metrics,
            self.evaluated,
        )
        # Not what was drawn: an error may stand between a draw and its update.
        self.checkpoints.save(self.state, {"step": int(self.state.step)}, card)
        self.saved = self.step

    def describe_metrics(self) -> str:
        """Returns the last evaluation in words; "" where there was none."""
        objective = self.setup.program.objective
        return objective.describe(self.metrics) if self.metrics else ""

    def _call_back(self, kind: str, values: dict[str, float]) -> None:
        for callback in self.setup.callbacks:
            callback(kind, self.step, dict(values))


def _to_floats(values: dict[str, jax.Array]) -> dict[str, float]:
    return {name: value.item() for name, value in jax.device_get(values).items()}
