"""One GPU in under ten minutes: is every path right, how fast is it, what comes next.

    pip install torch timm                     # beside vit_jax[cuda]; without: no peers
    python benchmarks/gpu.py                   # into benchmarks/results/gpu_<device>.json
    python benchmarks/gpu.py --seconds=300 --parts 'train ViT-B/16*' --output=FILE
    python benchmarks/gpu.py --rehearse        # tiny models, on a CPU: does it all run?

Meant for one H100 or H200. Parts run in order of value, and each is written to the file
when it is done, so that a run that was cut off counts. A part that fails is recorded with
its error; one that the time left is too short for is skipped. JAX and PyTorch run in
processes of their own, one at a time, so that neither holds the other's memory.

Rates are medians of several windows, each ended by one wait, from uint8 images on the
device to the updated state (AdamW, bfloat16, float32 weights) or to logits. FLOPs are
those of `vit_jax.models.flops`: two for each multiply-add, training is three forward passes.
"""

import argparse
import fnmatch
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from gpu_parts import Part, all_parts
from gpu_report import add_shares, line_of, next_steps
from gpu_workers import Clock, Worker

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="One GPU in under ten minutes.")
    parser.add_argument("--seconds", type=float, default=540, help="for all parts")
    parser.add_argument("--parts", nargs="+", default=["*"], help="names; * is a glob")
    parser.add_argument(
        "--output", type=Path, help="added to if it is there; default: by the device"
    )
    parser.add_argument("--keep", type=Path, help="folder for compiled programs")
    parser.add_argument(
        "--torch_python", default=sys.executable, help="that has torch and timm"
    )
    parser.add_argument("--rehearse", action="store_true", help="tiny, on a CPU")
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    arguments = parser.parse_args()
    parts = [
        part
        for part in all_parts()
        if any(fnmatch.fnmatchcase(part.name, wanted) for wanted in arguments.parts)
    ]
    if arguments.list:
        print("\n".join(part.name for part in parts))
        return
    named = [x for x in sys.argv[1:] if not x.startswith(("--output", "--keep"))]
    command = ["python", "benchmarks/gpu.py", *named]
    results: dict[str, Any] = {"commands": [], "parts": {}}
    if arguments.output and arguments.output.exists():  # it is added to
        results = json.loads(arguments.output.read_text())
    results["commands"].append(shlex.join(command))
    run(parts, results, arguments)


def run(parts: list[Part], results: dict[str, Any], arguments: Any) -> None:
    """Takes the parts in turn, and writes the file after each."""
    start = time.monotonic()
    options = (
        {"GPU_REHEARSE": "1", "JAX_PLATFORMS": "cpu"} if arguments.rehearse else {}
    )
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        options["GPU_KEEP"] = str(arguments.keep.resolve())
    worker = None
    for part in parts:
        left = arguments.seconds - (time.monotonic() - start)
        if left < part.needs:
            results["parts"].setdefault(part.name, {"skipped": True})
            print(f"{part.name}: skipped, {left:.0f} s are left", flush=True)
            continue
        if worker and (worker.kind != part.worker or not worker.is_alive):
            worker.close()
            worker = None
        if worker is None:
            is_torch = part.worker == "torch"
            python = arguments.torch_python if is_torch else sys.executable
            worker = Worker(part.worker, python, options)
        begun = time.monotonic()
        clock = Clock()
        found = worker.ask(part.ask, min(left, 2 * part.needs + 60))
        found["part_s"] = round(time.monotonic() - begun, 1)
        found |= clock.stop() | {"run": len(results["commands"]) - 1}
        results["parts"][part.name] = found
        add_shares(results)
        print(f"{line_of(part.name, found)} [{found['part_s']:.0f} s]", flush=True)
        write(results, arguments)
    if worker:
        worker.close()
    results["next"] = next_steps(results["parts"])
    write(results, arguments)
    print("\nnext:", *results["next"], sep="\n- ")


def write(results: dict[str, Any], arguments: Any) -> None:
    """Writes what there is, to a file named after the device."""
    output = arguments.output
    if output is None:
        kind = results["parts"].get("device", {}).get("kind", "unknown")
        name = "_".join(kind.lower().replace(",", "").split())
        output = HERE / "results" / f"gpu_{name}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_suffix(".part")
    beside.write_text(json.dumps(results, indent=1) + "\n")
    beside.replace(output)


if __name__ == "__main__":
    main()
