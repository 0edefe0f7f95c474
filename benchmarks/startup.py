"""What starting the package costs in CPU time, beside another checkout of it.

    python benchmarks/startup.py --against=DIR [--runs=15] [--output=FILE]

Three commands start in fresh processes, this checkout and the other one by turns, with the
same interpreter and the same installed packages. A first run of each is not counted: it
writes the byte code. The ratio of the medians is printed for each command; CPU time is
the process's and its children's, user and system.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-m", "vit_jax"]
COMMANDS = {
    "import vit_jax": [sys.executable, "-c", "import vit_jax"],
    "vit-jax --help": [*PROGRAM, "--help"],
    "vit-jax train --show": [
        *PROGRAM, "train", "--config=configs/digits.py", "--show",
    ],
}  # fmt: skip


def time_command(command: list[str], root: Path) -> float:
    """Returns the CPU seconds that a command takes in a checkout."""
    environment = os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))


def compare(command: list[str], roots: list[Path], runs: int) -> list[list[float]]:
    """Returns the CPU seconds of each run in each checkout, by turns."""
    times: list[list[float]] = [[] for _ in roots]
    for run in range(runs + 1):
        for root, found in zip(roots, times, strict=True):
            seconds = time_command(command, root)
            if run:
                found.append(round(seconds, 4))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path, required=True, help="another checkout")
    parser.add_argument("--runs", type=int, default=15, help="of each, that count")
    parser.add_argument("--output", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    results = {}
    for name, command in COMMANDS.items():
        roots = [ROOT, arguments.against.resolve()]
        here, there = compare(command, roots, arguments.runs)
        ratio = statistics.median(here) / statistics.median(there)
        results[name] = {
            "ratio_of_medians": round(ratio, 3),
            "cpu_seconds": here,
            "cpu_seconds_against": there,
        }
        print(
            f"{name}: {statistics.median(here):.3f} s, "
            f"against {statistics.median(there):.3f} s: {ratio:.2f} times"
        )
    if arguments.output:
        about = {"python": platform.python_version(), "machine": platform.machine()}
        text = json.dumps({**about, "commands": results}, indent=2)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
