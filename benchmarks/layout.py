"""What sharding the residual stream saves, over the batch and its tokens.

    pip install -e ".[tpu]"
    python benchmarks/layout.py --output=benchmarks/results/layout.json

Compiles training steps for TPU slices that are not here, each in three layouts of the
residual stream between layers: as the compiler chooses ("free"), sharded over the batch
alone ("batch"), its tokens over the tensor axis as well where it divides them
("tokens", which is what `vit_jax.mesh.constraints.constrain` does), and in unequal
parts. Memory, cycles and exchanged bytes are the compiler's, of one device; cycles leave
exchange out, so the seconds add it at the bandwidth of all links: hidden behind
arithmetic, and not.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMON = [
    "--config.model.dtype=bfloat16",
    "--config.model.scan=true",
    "--config.train.accum_steps=1",
    "--config.optim.name=adamw",
    "--config.optim.weight_decay=0.1",
]
# Without a class token 196 or 4096 tokens, which the axis divides; with it 197.
LAYOUTS = ("free", "batch", "tokens")
UNEQUAL = "tokens, unequal"
# Config file, topology, side of the image, batch, remat, sizes of the mesh, layouts.
CASES: dict[str, tuple[str, str, int, int, str, tuple[int, int, int], tuple]] = {
    "B/16, 224 pixels, data 8": (
        "vit_b16", "v5e:2x4", 224, 512, "none", (8, 1, 1), LAYOUTS[:2]),
    "B/16, 224 pixels, fsdp 8": (
        "vit_b16", "v5e:2x4", 224, 512, "none", (1, 8, 1), LAYOUTS[:2]),
    "L/16, 224 pixels, fsdp 2, tensor 4": (
        "vit_l16", "v5e:2x4", 224, 512, "full", (1, 2, 4), LAYOUTS),
    "L/16, 224 pixels, class token, fsdp 2, tensor 4": (
        "vit_l16", "v5e:2x4", 224, 512, "full", (1, 2, 4), ("batch", UNEQUAL)),
    "L/16, 1024 pixels, fsdp 2, tensor 4": (
        "vit_l16", "v5p:2x2x2", 1024, 16, "full", (1, 2, 4), LAYOUTS),
    "L/16, 1024 pixels, fsdp 8": (
        "vit_l16", "v5p:2x2x2", 1024, 16, "full", (1, 8, 1), LAYOUTS[1:2]),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Layouts of the residual stream.")
    parser.add_argument("only", nargs="*", help="cases whose name has one of these")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--layout", choices=(*LAYOUTS, UNEQUAL), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.layout:  # of the process of its own
        print(json.dumps(compile_case(arguments.only[0], arguments.layout)))
        return
    rows = []
    for name, case in CASES.items():
        if not arguments.only or any(part in name for part in arguments.only):
            for layout in case[-1]:
                rows.append(in_process(name, layout))
                print(json.dumps(rows[-1]), flush=True)
    command = " ".join(["python", "benchmarks/layout.py", *sys.argv[1:]])
    if arguments.output:
        text = json.dumps({"rows": rows, "command": command}, indent=1)
        arguments.output.write_text(text + "\n")


def in_process(name: str, layout: str) -> dict[str, Any]:
    """Returns a row; each step is compiled by a process that has compiled no other."""
    done = subprocess.run(
        [sys.executable, __file__, name, f"--layout={layout}"],
        stdout=subprocess.PIPE,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compile_case(name: str, layout: str) -> dict[str, Any]:
    """Returns what the compiler says of a case in a layout."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    from vit_jax.config.file import load_config
    from vit_jax.mesh import axes, constraints
    from vit_jax.models import encoder
    from vit_jax.plan import make_plan

    recipe, topology, side, batch, remat, sizes, _ = CASES[name]
    mesh = dict(zip(axes.MESH_AXES, sizes, strict=True))
    config = load_config(
        f"configs/{recipe}.py:imagenet2012",
        [
            *COMMON,
            f"--config.model.classifier={'token' if 'class token' in name else 'gap'}",
            f"--config.data.image_size={side}",
            f"--config.data.batch_size={batch}",
            f"--config.model.remat={remat}",
            *(f"--config.mesh.{axis}={size}" for axis, size in mesh.items()),
        ],
    )

    def shard_unequally(x: jax.Array, names: Any) -> jax.Array:
        mesh = constraints._mesh.get()
        if mesh is None:
            return x
        spec = PartitionSpec(*(constraints.STREAM.get(name) for name in names))
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    if layout == "free":
        encoder.constrain = lambda x, names: x
    elif layout == "batch":
        encoder.constrain = lambda x, names: constraints.constrain(
            x, (names[0], None, None)
        )
    elif layout == UNEQUAL:
        encoder.constrain = shard_unequally
    plan = make_plan(config, topology=topology)
    row: dict[str, Any] = {"case": name, "topology": topology, "layout": layout}
    if plan.compiled is None or plan.program is None or plan.prediction is None:
        return row | {"needed": plan.needed, "fits": plan.fits}
    return row | {
        "temporaries": plan.compiled.temporaries,
        "needed": plan.compiled.total,
        "cycles": plan.program.cycles,
        "sent": sum(c.sent for c in plan.program.collectives),
        "sent_by_kind": {c.kind: c.sent for c in plan.program.collectives},
        "seconds": plan.prediction.step,
        "versions": plan.to_json()["versions"],
    }


if __name__ == "__main__":
    main()
