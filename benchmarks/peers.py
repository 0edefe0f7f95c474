"""Training step and inference beside timm: the same model, batch and arithmetic.

    pip install torch timm                            # beside vit_jax, same environment
    python benchmarks/peers.py                        # what is here: GPU, else CPU
    python benchmarks/peers.py --variant=ViT-L/16 --batch_size=64 --output=FILE
    python benchmarks/peers.py --only ours timm
    taskset -c 0 python benchmarks/peers.py --variant=ViT-Ti/16   # one thread each

Each runs alone in a process of its own, so that none holds another's memory. All start
from uint8 images on the device, compute in bfloat16 with float32 weights (autocast in
timm, with its fused attention), or in float32 alone, and update with AdamW; inference
returns logits. Rates are medians and quartiles of repeats that end with one wait; on a
CPU that other programs use too, images per second of CPU time are steadier.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMM = {
    "ViT-Ti/16": "vit_tiny_patch16_224",
    "ViT-S/16": "vit_small_patch16_224",
    "ViT-B/16": "vit_base_patch16_224",
    "ViT-L/16": "vit_large_patch16_224",
    "ViT-H/14": "vit_huge_patch14_224",
}
CASES = ("ours", "ours, remat dots", "timm", "timm, compiled")
RESULT = "result: "


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates beside timm's.")
    parser.add_argument("--variant", choices=TIMM, default="ViT-B/16")
    parser.add_argument("--batch_size", type=int, help="default: 128, on CPU 16")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one repeat")
    parser.add_argument("--phases", nargs="+", default=["train", "inference"])
    parser.add_argument("--attention", help="ours; see config.model.attention")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)  # of the process of its own
    arguments = parser.parse_args()
    if arguments.batch_size is None:
        arguments.batch_size = 128 if has_gpu() else 16
    if arguments.case:
        run = ours if arguments.case.startswith("ours") else peer
        print(RESULT + json.dumps(run(arguments)))
        return
    results = {
        "variant": arguments.variant,
        "batch_size": arguments.batch_size,
        "dtype": arguments.dtype,
        "host": f"{processor()}, {len(os.sched_getaffinity(0))} CPUs",
        "command": " ".join(["python", "benchmarks/peers.py", *sys.argv[1:]]),
        "cases": {case: in_process(case, arguments) for case in arguments.only},
    }
    print(table(results))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def has_gpu() -> bool:
    """Tells whether NVIDIA's driver is here, without starting a framework."""
    return Path("/proc/driver/nvidia/version").exists()


def processor() -> str:
    """Returns what the CPU calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def in_process(case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns a case's result, or the last line of its error."""
    command = [sys.executable, __file__, f"--case={case}"]
    command += [f"--batch_size={arguments.batch_size}", *sys.argv[1:]]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH')}"}
    if not has_gpu():
        environment["JAX_PLATFORMS"] = "cpu"
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith(RESULT)]
    if lines:
        return json.loads(lines[-1].removeprefix(RESULT))
    return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times this library's own step; the layers are a loop, as timm's are."""
    from vit_jax.bench import run_bench
    from vit_jax.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

    options: dict[str, Any] = {"dtype": arguments.dtype}
    if "remat" in arguments.case:
        options["remat"] = arguments.case.rpartition(" ")[2]
    if arguments.attention:
        options["attention"] = arguments.attention
    config = Config(
        name="peers",
        data=DataConfig("none", (224, 224), arguments.batch_size, flip=False),
        model=ModelConfig(variant=arguments.variant, **options),
        optim=OptimConfig(
            "adamw", learning_rate=1e-4, weight_decay=0.1, clip_global_norm=0.0
        ),
        train=TrainConfig(total_steps=100_000),
    )
    result = run_bench(
        config,
        phases=arguments.phases,
        repeats=arguments.repeats,
        seconds=arguments.seconds,
    )
    del result["command"]
    return result


def peer(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times timm's model of the same name; it has a bias where ours has one, too."""
    torch = importlib.import_module("torch")
    define_operators(torch)
    timm = importlib.import_module("timm")

    from vit_jax.bench.timing import time_calls
    from vit_jax.config import ModelConfig
    from vit_jax.models.flops import count_inference_flops, count_training_flops

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    compiled = "compiled" in arguments.case
    torch.manual_seed(0)
    model = timm.create_model(TIMM[arguments.variant], num_classes=1000).to(device)
    size = arguments.batch_size
    images = torch.randint(0, 256, (size, 3, 224, 224), dtype=torch.uint8)
    labels = torch.randint(0, 1000, (size,), device=device)
    images = images.to(device)

    def forward(images: Any) -> Any:
        scaled = (images.float() - 127.5) / 127.5
        enabled = arguments.dtype == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            return model(scaled)

    def loss_of(images: Any, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(forward(images).float(), labels)

    if compiled:
        forward_run, loss_run = torch.compile(forward), torch.compile(loss_of)
    else:
        forward_run, loss_run = forward, loss_of
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, weight_decay=0.1, fused=device.type == "cuda"
    )

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def train(calls: int) -> None:
        model.train()
        for _ in range(calls):
            optimizer.zero_grad(set_to_none=True)
            loss_run(images, labels).backward()
            optimizer.step()
        wait()

    def infer(calls: int) -> None:
        model.eval()
        with torch.inference_mode():
            for _ in range(calls):
                forward_run(images)
        wait()

    result: dict[str, Any] = {"fused_attention": bool(timm.layers.use_fused_attn())}
    config = ModelConfig(variant=arguments.variant)
    product = matrix_product(torch, device, arguments, time_calls, wait)
    phases: dict[str, tuple[Callable, Callable]] = {
        "train": (train, count_training_flops),
        "inference": (infer, count_inference_flops),
    }
    for phase in arguments.phases:
        run, count = phases[phase]
        start = time.perf_counter()
        run(1)  # compiles where that is asked for
        first = time.perf_counter() - start
        timed = time_calls(run, size, arguments.repeats, arguments.seconds)
        rate = timed.pop("rate")
        flops = count(config, 1000, (224, 224))
        result[phase] = {
            "images_per_s": rate,
            **timed,
            "first_call_s": first,
            "flops_per_image": flops,
            "share_of_matrix_product": rate * flops / product["flops_per_s"],
            "peak_memory": torch.cuda.max_memory_allocated() if has_gpu() else None,
        }
    result["matrix_product"] = product
    result["resident_memory"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    result["device"] = {"kind": name, "threads": torch.get_num_threads()}
    result["versions"] = {"torch": torch.__version__, "timm": timm.__version__}
    return result


def matrix_product(torch: Any, device: Any, arguments: Any, time_calls: Any, wait: Any):
    """Times torch's product of the size and dtype that `vit_jax.bench` takes."""
    side = 8192 if device.type == "cuda" else 1024
    is_half = device.type == "cuda" and arguments.dtype == "bfloat16"
    dtype = torch.bfloat16 if is_half else torch.float32
    x = torch.full((side, side), 1 / side, dtype=dtype, device=device)

    def run(calls: int) -> None:
        y = x
        for _ in range(calls):
            y = y @ x
        wait()

    timed = time_calls(run, 2 * side**3, arguments.repeats, arguments.seconds / 4)
    return {"side": side, "flops_per_s": timed["rate"], "quartiles": timed["quartiles"]}


def define_operators(torch: Any) -> None:
    """Declares what torchvision's Python names but a build of another torch lacks."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):  # it is there
            library.define(schema)
    torch._vit_jax_library = library  # it holds as long as the object lives


def table(results: dict[str, Any]) -> str:
    """Returns a line for each case and phase."""
    lines = [f"{results['variant']}, batch {results['batch_size']}, {results['dtype']}"]
    for name, case in results["cases"].items():
        if "error" in case:
            lines.append(f"  {name:<18} failed: {case['error']}")
            continue
        for phase in ("train", "inference"):
            if phase in case:
                part = case[phase]
                low, high = part["quartiles"]
                per_cpu = results["batch_size"] / part["cpu_seconds_per_call"]
                lines.append(
                    f"  {name:<18} {phase:<10} {part['images_per_s']:9.2f} images/s "
                    f"({low:.2f} to {high:.2f}), {per_cpu:.2f} per second of CPU, "
                    f"{part['share_of_matrix_product']:.0%} of a matrix product"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
