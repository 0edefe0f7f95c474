"""What is logged and where: the terminal, `metrics.jsonl` and TensorBoard."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tqdm import tqdm

from vit_jax.objectives.objective import describe_means

# Fields of a line that depend on the machine; the others are the same in every run.
TIMINGS = (
    "images_per_second", "mfu", "goodput", "input_wait", "seconds", "elapsed", "time"
)  # fmt: skip
# Of those, what a restarted run needs of its past; not plotted.
_CLOCK = ("seconds", "elapsed", "time")


class MetricsLog:
    """Writes one line per report; a resumed run continues at its checkpoint.

    Args:
      workdir: gets `metrics.jsonl` and `tensorboard/`.
      step: completed updates; lines that a killed run logged past them are dropped,
        since those updates are made again.
      total: updates of the whole run.
      batch_size: images of one update, for images/s.
      peak_at: update (from 1) -> images/s that are an MFU of 1, which follow the size
        of its images; None, or None from it: no MFU is shown.
      describe: an evaluation -> its line on the terminal; see `Objective.describe`.

    A train line has ``goodput``: the share of the wall time since the run was first
    started that was spent on updates. Compiling, evaluating, saving, downtime, and
    updates that were lost and made again do not count.
    """

    def __init__(
        self,
        workdir: Path,
        step: int,
        total: int,
        batch_size: int,
        peak_at: Callable[[int], float | None] | None = None,
        describe: Callable[[Mapping[str, float]], str] = describe_means,
    ):
        self._path = workdir / "metrics.jsonl"
        self._peak_at = peak_at or (lambda step: None)
        self._describe = describe
        self._started, self._counted = _history(self._path, step)
        _keep_until(self._path, step)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
        self._total, self._batch_size = total, batch_size
        self._bar = tqdm(
            total=total,
            initial=step,
            unit="step",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}",
        )
        self._window = (step, time.perf_counter())
        self._paused = self._waited = 0.0

    def begin(self, step: int) -> None:
        """Starts the clock of images/s, after the compilation."""
        self._window, self._paused = (step, time.perf_counter()), 0.0
        self._waited = 0.0

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """Reports an update, with the speed since the last report."""
        last_step, last_time = self._window
        now = time.perf_counter()
        seconds = max(now - last_time - self._paused, 1e-9)
        self._window, self._paused = (step, now), 0.0
        speed = (step - last_step) * self._batch_size / seconds
        timings = self._timings(speed, seconds, self._peak_at(step))
        # The share of the time in which no batch was ready; the devices may still have
        # been at work on the steps before, so that they idled for less.
        timings["input_wait"] = self._waited / seconds
        self._waited = 0.0
        self._write(step, "train", {**values, **timings})
        text = f"loss {values['loss']:.4f}  lr {values['learning_rate']:.1e}"
        if speed:
            text += f"  {speed:.0f} images/s"
            if "mfu" in timings:
                text += f"  MFU {timings['mfu']:.1%}"
            text += f"  input wait {timings['input_wait']:.1%}"
        if self._bar.disable:
            left = (self._total - step) * self._batch_size
            eta = f"  eta {_clock(left / speed)}" if speed else ""
            print(f"step {step}/{self._total}  {text}{eta}", flush=True)
        else:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)

    def _timings(
        self, speed: float, seconds: float, peak: float | None
    ) -> dict[str, float]:
        self._counted += seconds
        now = time.time()
        elapsed = max(now - self._started, self._counted)
        timings = {
            "goodput": self._counted / elapsed,
            "seconds": seconds,
            "elapsed": elapsed,
            "time": now,
        }
        if speed:  # none where the first update is reported on its own
            timings["images_per_second"] = speed
            if peak:
                timings["mfu"] = speed / peak
        return timings

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        """Reports an evaluation."""
        self._write(step, "eval", values)
        self.say(f"step {step}/{self._total}  eval: {self._describe(values)}")

    def pause(self, seconds: float) -> None:
        """Excludes time that was not spent training from images/s."""
        self._paused += seconds

    def waited(self, seconds: float) -> None:
        """Counts time spent waiting for the next batch."""
        self._waited += seconds

    def say(self, line: str) -> None:
        """Prints a line without breaking the progress bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        self._bar.close()
        self._file.close()
        self._board.close()

    def _write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        line = {"step": step, "kind": kind, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            if name in _CLOCK:
                continue
            self._board.add_scalar(f"{kind}/{name}", value, step)


class SilentLog:
    """The log of all hosts but the first: writes nothing."""

    def __init__(self, *args: Any):
        del args

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Returns the lines of a `metrics.jsonl`; an incomplete last one is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _history(path: Path, step: int) -> tuple[float, float]:
    """Returns when the run first started, and the seconds spent on updates it keeps."""
    lines = read_metrics(path) if path.exists() else []
    # A line that will be dropped still says when its run started.
    starts = [line["time"] - line["elapsed"] for line in lines if "elapsed" in line]
    kept = [line.get("seconds", 0.0) for line in lines if line["step"] <= step]
    return min(starts, default=time.time()), sum(kept)


def _keep_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept))
    unfinished.replace(path)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
