"""The share of a step that waits for data, on a machine that one does not have.

    python benchmarks/input_wait.py --rate=1600 --cpus=16 --step_images_per_s=3000

A stand-in for the loader gives batches as fast as that many CPUs would, an eighth of a
batch at a time as threads do; a stand-in for the step sleeps as long as the chip would
compute. Between them stands the program's own prefetch, which measures the wait.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from vit_jax.data.prefetch import Prefetch


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
    parser.add_argument("--rate", type=float, required=True, help="images/s of one CPU")
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
    results = {
        "input_wait": round(share, 4),
        "loader_images_per_s": round(rate),
        "step_ms": round(1e3 * arguments.batch_size / arguments.step_images_per_s, 1),
        "device": f"simulated; {platform.machine()}",
        "versions": {"numpy": np.__version__},
        "command": "python benchmarks/input_wait.py "
        + " ".join(f"--{k}={v}" for k, v in vars(arguments).items() if k != "output"),
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
