"""Compiles training steps for TPU slices that are not here, one process for each.

    pip install -e ".[tpu]"
    python benchmarks/plan.py                         # all, into benchmarks/results/
    python benchmarks/plan.py B/16 22B --output=/tmp  # those whose name has one of these
    python benchmarks/plan.py --weak_scaling          # 8 to 512 chips, the same work each

Each result holds the `vit-jax plan` command that gives it alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
COMMON = [
    "--config.data.image_size=224",
    "--config.model.dtype=bfloat16",
    "--config.model.scan=true",
    "--config.train.accum_steps=1",
    "--config.optim.name=adamw",
    "--config.optim.weight_decay=0.1",
]


def mesh(data: int, fsdp: int, tensor: int) -> list[str]:
    """Returns the overrides of a mesh."""
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    return [f"--config.mesh.{axis}={size}" for axis, size in sizes.items()]


def batch(size: int, remat: str = "none") -> list[str]:
    """Returns the overrides of a global batch size and a remat policy."""
    return [f"--config.data.batch_size={size}", f"--config.model.remat={remat}"]


# Name of the result, config file, topology, overrides.
PLANS: list[tuple[str, str, str, list[str]]] = [
    ("B/16 none", "vit_b16", "v5e:2x4", [*mesh(8, 1, 1), *batch(1024)]),
    ("B/16 dots", "vit_b16", "v5e:2x4", [*mesh(8, 1, 1), *batch(1024, "dots")]),
    ("B/16 full", "vit_b16", "v5e:2x4", [*mesh(8, 1, 1), *batch(1024, "full")]),
    ("B/16 fsdp", "vit_b16", "v5e:2x4", [*mesh(1, 8, 1), *batch(1024, "dots")]),
    ("L/16 dots", "vit_l16", "v5e:2x4", [*mesh(1, 8, 1), *batch(512, "dots")]),
    ("L/16 full", "vit_l16", "v5e:2x4", [*mesh(1, 8, 1), *batch(512, "full")]),
    ("H/14 full", "vit_h14", "v4:2x2x2", [*mesh(1, 8, 1), *batch(512, "full")]),
    ("H/14 dots", "vit_h14", "v5p:2x2x2", [*mesh(1, 8, 1), *batch(512, "dots")]),
    ("g/14 full", "vit_giant14", "v4:2x2x2", [*mesh(1, 8, 1), *batch(512, "full")]),
    ("g/14 dots", "vit_giant14", "v5p:2x2x2", [*mesh(1, 8, 1), *batch(512, "dots")]),
    ("G/14 full", "vit_gigantic14", "v6e:4x4", [*mesh(1, 16, 1), *batch(512, "full")]),
    ("22B none", "vit_22b14", "v5p:4x4x4", [*mesh(1, 64, 1), *batch(1024)]),
    ("22B dots", "vit_22b14", "v5p:4x4x4", [*mesh(1, 64, 1), *batch(1024, "dots")]),
    ("22B full", "vit_22b14", "v5p:4x4x4", [*mesh(1, 64, 1), *batch(1024, "full")]),
    ("22B tensor", "vit_22b14", "v5p:4x4x4", [*mesh(1, 16, 4), *batch(1024, "full")]),
    ("22B full", "vit_22b14", "v5p:8x8x8", [*mesh(1, 512, 1), *batch(8192, "full")]),
    ("22B tensor", "vit_22b14", "v5p:8x8x8", [*mesh(8, 16, 4), *batch(8192, "full")]),
]  # fmt: skip
# The same 128 images a chip on slices of v5p; FSDP within 8 chips, data beyond.
SLICES = {8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8",
          256: "4x8x8", 512: "8x8x8"}  # fmt: skip


def run(config: str, topology: str, overrides: list[str]) -> dict:
    """Returns one plan as JSON holds it, from a process of its own."""
    arguments = [f"--config=configs/{config}.py:imagenet2012", *overrides]
    command = ["vit-jax", "plan", *arguments, f"--topology={topology}", "--json"]
    code = (
        "import sys, json; from vit_jax.config.file import load_config\n"
        "from vit_jax.plan import make_plan\n"
        "config = load_config(sys.argv[1].partition('=')[2], sys.argv[2:-1])\n"
        "plan = make_plan(config, topology=sys.argv[-1])\n"
        "print(json.dumps(plan.to_json()))"
    )
    start, before = time.perf_counter(), cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, topology],
        stdout=subprocess.PIPE,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        text=True,
    )
    plan = json.loads(done.stdout.splitlines()[-1])
    plan["command"] = " ".join(command)
    # Wall time is of a machine that may do other things as well.
    plan["process_seconds"] = round(time.perf_counter() - start, 1)
    plan["process_cpu_seconds"] = round(cpu_seconds() - before, 1)
    return plan


def cpu_seconds() -> float:
    """Returns the CPU time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def weak_scaling(path: Path) -> None:
    """Writes cycles and bytes per chip for each slice, B/16 with 128 images a chip."""
    rows: list[dict] = []
    for chips, sides in SLICES.items():
        overrides = [*COMMON, *mesh(chips // 8, 8, 1), *batch(128 * chips)]
        plan = run("vit_b16", f"v5p:{sides}", overrides)
        rows.append(
            {
                "chips": chips,
                "cycles_outside_collectives": plan["program"]["cycles"],
                "collectives": plan["program"]["collectives"],
                "needed": plan["needed"],
                "mfu": plan["prediction"]["mfu"],
                "compile_seconds": plan["compile_seconds"],
                "process_cpu_seconds": plan["process_cpu_seconds"],
                "command": plan["command"],
            }
        )
        row, first = rows[-1], rows[0]["cycles_outside_collectives"]
        row["cycles_of_first"] = row["cycles_outside_collectives"] / first
        print(json.dumps(row), flush=True)
        command = "python benchmarks/plan.py --weak_scaling"
        values = {"command": command, "versions": plan["versions"], "slices": rows}
        path.write_text(json.dumps(values, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compiles training steps for TPU slices that are not here."
    )
    parser.add_argument("names", nargs="*", help="parts of names; none: all")
    parser.add_argument("--weak_scaling", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.weak_scaling:
        weak_scaling(arguments.output / "plan_weak_scaling.json")
        return
    for name, config, topology, overrides in PLANS:
        full = f"{name} {topology}"
        if arguments.names and not any(part in full for part in arguments.names):
            continue
        plan = run(config, topology, [*COMMON, *overrides])
        # Of the config, for a file system may not tell g/14 from G/14.
        rest = full.partition(" ")[2].replace(" ", "_").replace(":", "-")
        path = arguments.output / f"plan_{config}_{rest}.json"
        path.write_text(json.dumps(plan, indent=1) + "\n")
        needed, fits = plan["needed"] / 2**30, plan["fits"]
        seconds = plan["compile_seconds"]
        print(f"{full}: {needed:.1f} GiB, fits {fits}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
