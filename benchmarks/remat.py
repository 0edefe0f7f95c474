"""What each remat policy keeps and costs, of one ViT layer, by the TPU compiler.

    pip install -e ".[tpu]"
    python benchmarks/remat.py none half dots full --output=FILE   # all without names

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
    parser.add_argument("policies", nargs="*", default=[*OFFERED, *OTHERS])
    parser.add_argument("--topology", default="v5e:1x1")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)  # of a process
    arguments = parser.parse_args()
    policies, topology = arguments.policies, arguments.topology
    if arguments.layers:
        print(json.dumps(compile_step(policies[0], arguments.layers, topology)))
        return
    result: dict[str, Any] = {
        "topology": topology,
        "command": " ".join(["python", "benchmarks/remat.py", *sys.argv[1:]]),
        "layer": {},
    }
    for policy in policies:
        few, many = (in_process(policy, n, topology) for n in LAYERS)
        mib, cycles = (
            (many[name] - few[name]) / (LAYERS[1] - LAYERS[0]) / unit
            for name, unit in (("temporaries", 2**20), ("cycles", 1e6))
        )
        print(f"{policy:<26}{mib:8.0f} MiB a layer{cycles:8.1f} M cycles", flush=True)
        row = {"MiB": round(mib), "M cycles": round(cycles, 1)}
        result["layer"][policy] = row
        result["versions"] = many["versions"]
        if arguments.output:
            arguments.output.write_text(json.dumps(result, indent=1) + "\n")


def in_process(policy: str, layers: int, topology: str) -> dict[str, Any]:
    """Returns what the compiler says, from a process of its own."""
    command = [sys.executable, __file__, policy, f"--layers={layers}"]
    done = subprocess.run(
        [*command, f"--topology={topology}"],
        capture_output=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compile_step(policy: str, layers: int, topology: str) -> dict[str, Any]:
    """Compiles a training step of so many layers under a policy."""
    from vit_jax.config.file import load_config
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
        "temporaries": plan.compiled.temporaries,
        "cycles": plan.program.cycles,
        "versions": plan.to_json()["versions"],
    }


def offer(policy: str) -> None:
    """Puts a policy in the place of ``dots``, and names what it tells apart."""
    import jax
    from jax.ad_checkpoint import checkpoint_name as named

    from vit_jax.models import attention, layers

    attend, weights = attention.attend, attention.compute_attention_weights

    def attend_named(q: Any, k: Any, v: Any, **options: Any) -> Any:
        q, k, v = named(q, "q"), named(k, "k"), named(v, "v")
        return named(attend(q, k, v, **options), "out")

    def weights_named(*arguments: Any) -> Any:
        return named(weights(*arguments), "scores")

    attention.attend, attention.compute_attention_weights = attend_named, weights_named
    policies = jax.checkpoint_policies
    layers.keep_products = {
        OTHERS[0]: policies.save_anything_except_these_names("scores"),
        OTHERS[1]: policies.save_from_both_policies(
            policies.dots_with_no_batch_dims_saveable,
            policies.save_only_these_names("out"),
        ),
        OTHERS[2]: policies.save_only_these_names("q", "k", "v", "out"),
    }[policy]


if __name__ == "__main__":
    main()
