"""The share of a step that waits for data, on a machine that one does not have.

    python benchmarks/input_wait.py --rate=1550 --cpus=16 --step_images_per_s=3000
    python benchmarks/input_wait.py --workdir=runs/digits    # a run's own log

A stand-in for the loader gives batches as fast as that many CPUs would, an eighth of a
batch at a time as threads do; a stand-in for the step sleeps as long as the chip would
compute. Between them stands the program's own prefetch, which measures the wait.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.data.prefetch import Prefetch
from vit_jax.training.metrics import read_metrics


class SteadyLoader:
    """Batches at a rate, from the first ``next`` on; two are read ahead."""

    def __init__(self, batch_size: int, rate: float) -> None:
        self._seconds = batch_size / rate
        self._batch = {"image": np.zeros((batch_size, 8, 8, 3), np.uint8)}
        self._step, self._ready = 0, 0.0

    def __next__(self) -> dict[str, np.ndarray]:
        now = time.perf_counter()
        # Work goes on between two calls, but no further ahead than two batches.
        self._ready = max(self._ready, now - 2 * self._seconds) + self._seconds
        time.sleep(max(0.0, self._ready - now))
        self._step += 1
        return self._batch

    def get_state(self) -> dict[str, int]:
        return {"step": self._step}

    def close(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Share of a step that waits for data.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--rate", type=float, help="images/s of one CPU")
    what.add_argument("--workdir", type=Path, help="of a run, whose log is read")
    parser.add_argument("--cpus", type=int, default=16)
    parser.add_argument(
        "--efficiency", type=float, default=0.7, help="of many CPUs beside one"
    )
    parser.add_argument(
        "--step_images_per_s", type=float, default=3000.0, help="of the chip alone"
    )
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = read(arguments.workdir) if arguments.workdir else simulate(arguments)
    results |= {
        "versions": {"numpy": np.__version__},
        "command": f"python benchmarks/input_wait.py {' '.join(sys.argv[1:])}",
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def read(workdir: Path) -> dict[str, Any]:
    """Returns the share of a run's time in updates in which no batch was ready."""
    lines = [
        line for line in read_metrics(workdir / "metrics.jsonl") if "input_wait" in line
    ]
    seconds = np.array([line["seconds"] for line in lines])
    shares = np.array([line["input_wait"] for line in lines])
    return {
        "input_wait": round(float((shares * seconds).sum() / seconds.sum()), 4),
        "input_wait_of_50_steps": {
            "median": round(float(np.median(shares)), 4),
            "largest": round(float(shares.max()), 4),
        },
        "images_per_s": round(
            float(np.median([line["images_per_second"] for line in lines]))
        ),
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "load_average": round(os.getloadavg()[0], 1),
    }


def simulate(arguments: argparse.Namespace) -> dict[str, Any]:
    rate = arguments.rate * arguments.cpus * arguments.efficiency
    loader = SteadyLoader(arguments.batch_size, rate)
    batches = Prefetch(loader, lambda batch: batch)  # pyright: ignore[reportArgumentType]
    next(batches)
    waited, start = batches.waited, time.perf_counter()
    for _ in range(arguments.steps):
        time.sleep(arguments.batch_size / arguments.step_images_per_s)
        next(batches)
    share = (batches.waited - waited) / (time.perf_counter() - start)
    batches.close()
    return {
        "input_wait": round(share, 4),
        "loader_images_per_s": round(rate),
        "step_ms": round(1e3 * arguments.batch_size / arguments.step_images_per_s, 1),
        "device": f"simulated; {platform.machine()}",
    }


if __name__ == "__main__":
    main()
