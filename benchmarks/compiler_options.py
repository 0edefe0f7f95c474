"""What each option of `vit_jax.mesh.compiler` changes, by the TPU compiler, and some others.

    pip install -e ".[tpu]"
    python benchmarks/compiler_options.py S/16 --output=FILE   # all cases without S/16

Compiles a training step for a TPU slice that is not here with no option, with ours, and
with ours and one more. Cycles leave the exchange between chips out: an option that hides
it behind arithmetic shows in the memory that it takes, if at all.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CASES = {
    "S/16, fsdp 8": ["vit_s16", "--config.mesh.fsdp=8", "--config.data.batch_size=256"],
    "B/16, data 8": ["vit_b16", "--config.mesh.data=8", "--config.data.batch_size=256"],
}
COMMON = [
    "--config.mesh.data=1",
    "--config.data.image_size=224",
    "--config.train.accum_steps=1",
    "--config.model.dtype=bfloat16",
    "--config.model.scan=true",
]
MORE: dict[str, dict[str, Any]] = {
    "ours": {},
    "and data_parallel_all_reduce_opt": {
        "xla_tpu_enable_data_parallel_all_reduce_opt": True,
        "xla_tpu_data_parallel_opt_different_sized_ops": True,
    },
    "and async_collective_fusion": {
        "xla_tpu_enable_async_collective_fusion": True,
        "xla_tpu_enable_async_collective_fusion_fuse_all_gather": True,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Options of the TPU compiler.")
    parser.add_argument("only", nargs="*", help="cases whose name has one of these")
    parser.add_argument("--topology", default="v5e:2x4")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--options", help=argparse.SUPPRESS)  # in a process of its own
    arguments = parser.parse_args()
    only, topology = arguments.only, arguments.topology
    if arguments.options:
        print(json.dumps(compile_step(only[0], arguments.options, topology)))
        return
    command = " ".join(["python", "benchmarks/compiler_options.py", *sys.argv[1:]])
    rows = []
    for case in CASES:
        if only and not any(part in case for part in only):
            continue
        for options in ("none", *MORE):
            rows.append(in_process(case, options, topology))
            print(json.dumps(rows[-1]), flush=True)
            if arguments.output:
                text = json.dumps({"rows": rows, "command": command}, indent=1)
                arguments.output.write_text(text + "\n")


def in_process(case: str, options: str, topology: str) -> dict[str, Any]:
    """Returns a row, from a process that has compiled nothing else."""
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            case,
            f"--options={options}",
            f"--topology={topology}",
        ],
        capture_output=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1][:200]
        return {"case": case, "options": options, "refused": reason}
    return json.loads(done.stdout.splitlines()[-1])


def compile_step(case: str, options: str, topology: str) -> dict[str, Any]:
    """Returns what the compiler says of a case under some options."""
    from vit_jax.config.file import load_config
    from vit_jax.mesh import compiler
    from vit_jax.plan import make_plan

    if options == "none":
        compiler.OPTIONS["tpu"] = {}
    else:
        compiler.OPTIONS["tpu"].update(MORE[options])
    recipe, *overrides = CASES[case]
    config = load_config(f"configs/{recipe}.py:imagenet2012", [*COMMON, *overrides])
    plan = make_plan(config, topology=topology)
    assert plan.program is not None, f"{case} needs {plan.needed} bytes"
    return {
        "case": case,
        "options": options,
        "cycles": plan.program.cycles,
        "needed": plan.needed,
        "sent": sum(c.sent for c in plan.program.collectives),
        "compile_seconds": plan.compile_seconds,
        "versions": plan.to_json()["versions"],
    }


if __name__ == "__main__":
    main()
