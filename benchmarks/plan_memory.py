"""What a training step takes beside what `plan` says it needs.

    python benchmarks/plan_memory.py [--output=benchmarks/results/plan_memory.json]

On a device that counts (GPU, TPU) it is the device's own peak. On Linux without one it
is the growth of the largest resident set over what the process held once the step was
compiled; one thread, so that the scratch memory of the others is not in it. Each case
runs in a process of its own: memory that another has freed would hide some of it. What
the CPU's kernels take for themselves is in no compiler's count; it shows where full
remat has left little else.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

CASES = {
    "ViT-Ti/16, loop": ("ViT-Ti/16", 32, []),
    "ViT-Ti/16, scan": ("ViT-Ti/16", 32, ["--config.model.scan=true"]),
    "ViT-Ti/16, scan, remat full": (
        "ViT-Ti/16",
        128,
        ["--config.model.scan=true", "--config.model.remat=full"],
    ),
    "ViT-Ti/16, 4 micro-batches": ("ViT-Ti/16", 64, ["--config.train.accum_steps=4"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The plan's memory beside a run's.")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", choices=CASES, help="this one alone")
    arguments = parser.parse_args()
    if arguments.case:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
        show({"case": arguments.case, **measure(*CASES[arguments.case])})
        return
    results = {
        "rows": [show(in_process(case)) for case in CASES],
        "host": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "command": "python benchmarks/plan_memory.py",
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def in_process(case: str) -> dict:
    """Returns a row, from a process that has run nothing else."""
    command = [sys.executable, __file__, f"--case={case}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(row: dict) -> dict:
    """Prints a row as it comes."""
    print(json.dumps(row), flush=True)
    return row


def measure(variant: str, batch_size: int, overrides: list[str]) -> dict:
    """Returns bytes planned and taken by updates of a model."""
    import jax

    from vit_jax.bench.phases import peak_memory, random_batch
    from vit_jax.config_file import load_config
    from vit_jax.plan.memory import count_memory, program_memory
    from vit_jax.plan.trial import abstract_batch, program_of
    from vit_jax.resolve import resolve
    from vit_jax.sharding import make_mesh

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
    config = resolve(config)
    mesh = make_mesh(config.mesh, jax.devices()[:1])
    program = program_of(config, 1000, mesh)
    state = program.abstract_state
    step = program.train_step.lower(state, abstract_batch(config, mesh)).compile()
    planned = program_memory(step)
    init = program.init.lower().compile()
    on_host = peak_memory(mesh) is None
    before = largest_resident(reset=True) if on_host else 0
    batch = random_batch(batch_size, config, 1000, mesh)
    now = init()
    jax.block_until_ready(step(now, batch))
    taken = largest_resident() - before if on_host else peak_memory(mesh)
    assert taken is not None
    return {
        "device": jax.devices()[0].device_kind,
        "counted": count_memory(config, state, mesh, 1000).total,
        "planned": planned.total,
        "taken": taken,
        "planned_over_taken": planned.total / taken,
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
