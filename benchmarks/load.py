"""Time and memory of loading a large .npz, beside NumPy's own reading of it.

    python benchmarks/load.py [--variant=ViT-L/16] [--out=benchmarks/results/load.json]

Writes a checkpoint of random weights in the original's format to a temporary folder,
then reads it in fresh processes: once with NumPy, array by array, and with
`load_pretrained` on one device and over a mesh of eight virtual CPU devices, in turns.
A time over NumPy's is the median of the turns', whose range stands beside it; memory is
the largest resident set that a process had, less what it had before the load.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CASES = ("numpy", "one_device", "mesh")
TURNS = 9


def write_checkpoint(path: Path, variant: str) -> None:
    """Writes random parameters with 21,843 classes, as the original's are."""
    import numpy as np

    from vit_jax import checkpoints, models
    from vit_jax.config import ModelConfig

    model = models.resolve_model(ModelConfig(variant=variant))
    rng = np.random.default_rng(0)
    tensors = {
        name: checkpoints.make_lazy(rng.standard_normal(shape, np.float32))
        for name, shape in models.find_shapes(model, 21_843, (224, 224)).items()
    }
    source = checkpoints.Checkpoint("vit_jax", tensors, model, 21_843)
    checkpoints.write_checkpoint(path, "google_prelinen", source)


def measure(case: str, path: Path) -> dict[str, float]:
    """Runs one case in this process."""
    import jax
    import numpy as np

    from vit_jax.checkpoints.load import load_pretrained
    from vit_jax.config import MeshConfig
    from vit_jax.mesh.sharding import make_mesh

    jax.devices()  # started before the clock is
    with path.open("rb") as file:  # into the page cache, for every case
        while file.read(1 << 24):
            pass
    reset_peak()
    before = peak()
    start = time.perf_counter()
    kept = None
    if case == "numpy":
        with np.load(path) as arrays:
            kept = [arrays[name] for name in arrays.files]
    elif case == "one_device":
        kept = load_pretrained(path).params
    else:
        mesh = make_mesh(MeshConfig(data=1, fsdp=-1))
        kept = load_pretrained(path, mesh=mesh).params
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "peak_bytes": peak() - before}
    if case == "mesh":
        result |= per_device(kept)
    return result


def per_device(params) -> dict[str, float]:
    """Returns the share of all parameters that the fullest device holds."""
    import jax

    held: dict[int, int] = {}
    for leaf in jax.tree.leaves(params):
        for shard in leaf.addressable_shards:
            held[shard.device.id] = held.get(shard.device.id, 0) + shard.data.nbytes
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    return {"largest_share_of_a_device": max(held.values()) / total}


def peak() -> int:
    """Returns the largest resident set since `reset_peak`, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("VmHWM must be in /proc/self/status; run this on Linux")


def reset_peak() -> None:
    """Makes the largest resident set the present one."""
    Path("/proc/self/clear_refs").write_text("5")


def run_case(case: str, path: Path) -> dict[str, float]:
    """Runs a case in a fresh process."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    command = [sys.executable, __file__, f"--case={case}", f"--file={path}"]
    output = subprocess.run(command, env=env, check=True, capture_output=True)
    return json.loads(output.stdout.decode().splitlines()[-1])


def summarize(turns: list[dict[str, dict[str, float]]], case: str) -> dict[str, Any]:
    """Returns the medians of a case; of its memory, the largest."""
    rows = [turn[case] for turn in turns]
    ratios = [turn[case]["seconds"] / turn["numpy"]["seconds"] for turn in turns]
    return {
        **rows[0],
        "seconds": statistics.median(row["seconds"] for row in rows),
        "peak_bytes": max(row["peak_bytes"] for row in rows),
        "time_over_numpy": statistics.median(ratios),
        "time_over_numpy_range": [min(ratios), max(ratios)],
    }


def versions() -> dict[str, str]:
    import jax
    import numpy as np

    return {"python": platform.python_version(), "jax": jax.__version__,
            "numpy": np.__version__}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="ViT-L/16")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        write_checkpoint(path, arguments.variant)
        size = path.stat().st_size
        turns = [{case: run_case(case, path) for case in CASES} for _ in range(TURNS)]
    cases = {case: summarize(turns, case) for case in CASES}
    for case in cases.values():
        case["peak_over_file"] = case["peak_bytes"] / size
    result = {
        "command": f"python benchmarks/load.py --variant={arguments.variant}",
        "device": f"CPU, {os.cpu_count()} cores, {platform.machine()}",
        "versions": versions(),
        "variant": arguments.variant,
        "turns": TURNS,
        "file_bytes": size,
        "cases": cases,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
