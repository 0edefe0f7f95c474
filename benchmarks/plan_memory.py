"""What a training step takes beside what `plan` says it needs.

    python benchmarks/plan_memory.py [--output=benchmarks/results/plan_memory.json]

On a device that counts (GPU, TPU) it is the device's own peak. On Linux without one it
is the growth of the largest resident set over what the process held once the step was
compiled; with one arena of the C library, since what its others hold back, up to some
64 MB a thread, is free memory of the process and not the step's. Each case runs in
processes of its own, with the options of `vit_jax.mesh.compiler` and with none: beside the
memory, CPU seconds of a step, the least of three, say what the options cost.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

FULL = ["--config.model.scan=true", "--config.model.remat=full"]
CASES: dict[str, tuple[str, int, list[str]]] = {
    "ViT-Ti/16, loop": ("ViT-Ti/16", 32, []),
    "ViT-Ti/16, scan": ("ViT-Ti/16", 32, ["--config.model.scan=true"]),
    "ViT-Ti/16, scan, remat full": ("ViT-Ti/16", 128, FULL),
    "ViT-Ti/16, 4 micro-batches": ("ViT-Ti/16", 64, ["--config.train.accum_steps=4"]),
    "ViT-S/16, remat half": ("ViT-S/16", 32, ["--config.model.remat=half"]),
    "ViT-B/16, scan, remat full": ("ViT-B/16", 16, FULL),
    "R26+ViT-S/32, loop": ("R26+ViT-S/32", 16, []),
}
OPTIONS = ("ours", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description="The plan's memory beside a run's.")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", choices=CASES, help="this one alone")
    parser.add_argument("--options", choices=OPTIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.options:  # in a process of its own
        row = {"case": arguments.case, "options": arguments.options}
        show(row | measure(*CASES[arguments.case], arguments.options))
        return
    cases = [arguments.case] if arguments.case else list(CASES)
    results = {
        "rows": [show(in_process(case, kind)) for case in cases for kind in OPTIONS],
        "host": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "command": "python benchmarks/plan_memory.py",
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def in_process(case: str, options: str) -> dict:
    """Returns a row, from a process that has run nothing else."""
    command = [sys.executable, __file__, f"--case={case}", f"--options={options}"]
    env = os.environ | {"MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, env=env
    )
    return json.loads(done.stdout.splitlines()[-1])


def show(row: dict) -> dict:
    """Prints a row as it comes."""
    print(json.dumps(row), flush=True)
    return row


def measure(variant: str, batch_size: int, overrides: list[str], options: str) -> dict:
    """Returns bytes planned and taken by updates of a model, and their CPU seconds."""
    import jax

    from vit_jax.bench.phases import make_random_batch, measure_peak_memory
    from vit_jax.config.file import load_config
    from vit_jax.mesh import compiler
    from vit_jax.mesh.sharding import make_mesh
    from vit_jax.plan.memory import measure_program
    from vit_jax.plan.trial import make_abstract_batch, make_trial_program
    from vit_jax.training.memory import count_memory
    from vit_jax.training.resolve import resolve_config

    config = load_config(
        "configs/vit_ti16.py:imagenet2012",
        [
            f"--config.model.variant={variant}",
            f"--config.data.batch_size={batch_size}",
            "--config.data.image_size=224",
            "--config.train.accum_steps=1",
            *overrides,
        ],
    )
    if options == "none":
        compiler.OPTIONS.clear()
    config = resolve_config(config)
    mesh = make_mesh(config.mesh, jax.devices()[:1])
    program = make_trial_program(config, 1000, mesh)
    state = program.abstract_state
    step = program.train_step.lower(state, make_abstract_batch(config, mesh)).compile()
    planned = measure_program(step)
    init = program.init_fresh.lower().compile()
    on_host = measure_peak_memory(mesh) is None
    before = largest_resident(reset=True) if on_host else 0
    batch = make_random_batch(batch_size, config, 1000, mesh)
    now, _ = jax.block_until_ready(step(program.hand_constants(init()), batch))
    taken = largest_resident() - before if on_host else measure_peak_memory(mesh)
    assert taken is not None
    seconds = []
    for _ in range(3):
        start = time.process_time()
        now, _ = jax.block_until_ready(step(now, batch))
        seconds.append(time.process_time() - start)
    return {
        "device": jax.devices()[0].device_kind,
        "counted": count_memory(config, state, mesh, 1000).total,
        "planned": planned.total,
        "taken": taken,
        "planned_over_taken": planned.total / taken,
        "cpu_seconds": min(seconds),
    }


def largest_resident(reset: bool = False) -> int:
    """Returns the high-water mark of this process's resident set, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main()
