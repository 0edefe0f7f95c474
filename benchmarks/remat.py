"""What each remat policy keeps and costs, of one ViT layer, by the TPU compiler.

    pip install -e ".[tpu]"
    python benchmarks/remat.py --output=benchmarks/results/remat.json

Compiles training steps of ViT-B/16 with 2 and with 4 layers, 128 images in bfloat16 on
one described v5e: half of the difference is a layer's. Beside the policies that
`config.model.remat` offers stand some that it does not, since they cost more than they
save.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OFFERED = ("none", "half", "dots", "full")
OTHERS = ("all but the scores", "dots and attention's out", "q, k, v, attention's out")
LAYERS = (2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a remat policy keeps and costs.")
    parser.add_argument("--topology", default="v5e:1x1")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--policy", help=argparse.SUPPRESS)  # of a process of its own
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.policy:
        print(json.dumps(compile_step(**vars(arguments))))
        return
    rows: dict[str, dict[str, Any]] = {}
    for policy in (*OFFERED, *OTHERS):
        few, many = (in_process(policy, n, arguments.topology) for n in LAYERS)
        more = LAYERS[1] - LAYERS[0]
        rows[policy] = {
            "temporaries": (many["temporaries"] - few["temporaries"]) / more,
            "cycles": (many["cycles"] - few["cycles"]) / more,
            "compiled": {few["layers"]: few, many["layers"]: many},
        }
        row = rows[policy]
        print(
            f"{policy:<26}{row['temporaries'] / 2**20:8.0f} MiB a layer"
            f"{row['cycles'] / 1e6:8.1f} M cycles",
            flush=True,
        )
    if arguments.output:
        command = " ".join(["python", "benchmarks/remat.py", *sys.argv[1:]])
        result = {"topology": arguments.topology, "layer": rows, "command": command}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


def in_process(policy: str, layers: int, topology: str) -> dict[str, Any]:
    """Returns what the compiler says, from a process of its own."""
    command = [sys.executable, __file__, f"--policy={policy}", f"--layers={layers}"]
    done = subprocess.run(
        [*command, f"--topology={topology}"],
        capture_output=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compile_step(policy: str, layers: int, topology: str, **_: Any) -> dict[str, Any]:
    """Compiles a training step of so many layers under a policy."""
    from vit_jax.config_file import load_config
    from vit_jax.plan import make_plan

    remat = policy
    if policy in OTHERS:
        offer(policy)
        remat = "dots"  # in whose place it stands
    config = load_config(
        "configs/vit_b16.py:imagenet2012",
        [
            "--config.data.image_size=224",
            "--config.data.batch_size=128",
            "--config.train.accum_steps=1",
            "--config.model.dtype=bfloat16",
            f"--config.model.num_layers={layers}",
            f"--config.model.remat={remat}",
        ],
    )
    plan = make_plan(config, topology=topology)
    assert plan.compiled is not None, f"{layers} layers need {plan.needed} bytes"
    assert plan.program is not None
    return {
        "layers": layers,
        "temporaries": plan.compiled.temporaries,
        "cycles": plan.program.cycles,
        "versions": plan.to_json()["versions"],
    }


def offer(policy: str) -> None:
    """Puts a policy in the place of ``dots``, and names what it tells apart."""
    import jax
    from jax.ad_checkpoint import checkpoint_name as named

    from vit_jax.models import attention, layers

    attend, weights = attention.attend, attention.attention_weights

    def attend_named(q: Any, k: Any, v: Any, **options: Any) -> Any:
        q, k, v = named(q, "q"), named(k, "k"), named(v, "v")
        return named(attend(q, k, v, **options), "out")

    def weights_named(*arguments: Any) -> Any:
        return named(weights(*arguments), "scores")

    attention.attend, attention.attention_weights = attend_named, weights_named
    policies = jax.checkpoint_policies
    layers.REMAT["dots"] = {
        OTHERS[0]: policies.save_anything_except_these_names("scores"),
        OTHERS[1]: policies.save_from_both_policies(
            policies.dots_with_no_batch_dims_saveable,
            policies.save_only_these_names("out"),
        ),
        OTHERS[2]: policies.save_only_these_names("q", "k", "v", "out"),
    }[policy]


if __name__ == "__main__":
    main()
