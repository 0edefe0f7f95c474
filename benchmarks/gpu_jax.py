"""The parts of `gpu.py` that JAX takes: asked on standard input, answered in JSON.

Each line that comes in holds ``what``, the name of a function of `WHAT`, and that
function's keyword arguments.
"""

import gc
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_attention import attention, padding
from gpu_options import REHEARSE, REPEATS, SECONDS, short
from gpu_profile import profile_of

from vit_jax import models
from vit_jax.bench.measure import PACKAGES, list_versions
from vit_jax.bench.phases import make_random_batch, measure_peak_memory
from vit_jax.bench.timing import time_calls
from vit_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
)
from vit_jax.data.augment import prepare_images
from vit_jax.mesh import compiler
from vit_jax.mesh.devices import find_chip_of_device
from vit_jax.mesh.sharding import bind_mesh, make_mesh
from vit_jax.models.apply import apply_model
from vit_jax.models.flops import count_inference_flops, count_training_flops
from vit_jax.plan.memory import measure_program
from vit_jax.plan.trial import make_trial_program
from vit_jax.training.resolve import resolve_config

NUM_CLASSES = 10 if REHEARSE else 1000
TINY: dict[str, Any] = {
    "hidden_size": 64,
    "num_layers": 2,
    "num_heads": 2,
    "mlp_dim": 128,
}


def device() -> dict[str, Any]:
    """What is here, and its two ceilings: a large product, and a copy."""
    first = jax.devices()[0]
    chip = find_chip_of_device([first])
    burst, sustained = product_rates()
    return {
        "kind": first.device_kind,
        "platform": first.platform,
        "driver": driver(),
        "versions": list_versions(
            (*PACKAGES, "jax-cuda12-plugin", "nvidia-cudnn-cu13")
        ),
        "host": f"{os.cpu_count()} CPUs",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "compiler_options": compiler.OPTIONS.get(first.platform, {}),
        "peak_flops": chip.peak_flops if chip else None,
        "product_flops_per_s": burst,
        "sustained_product_flops_per_s": sustained,
        "copy_bytes_per_s": copy_rate(),
    }


def driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.check_output(command, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def product_rates() -> tuple[float, float]:
    """FLOP/s of square products in bfloat16 of random numbers; zeros would be faster.

    Returns:
      In bursts after a pause, and without one: products alone take so much power that
      the clock falls after a moment, by more than it does in a training step.
    """
    side, chained = (256, 2) if REHEARSE else (8192, 4)
    keys = jax.random.split(jax.random.key(0))
    x, y = (jax.random.normal(key, (side, side), jnp.bfloat16) for key in keys)
    y = y / jnp.sqrt(side).astype(y.dtype)  # the result is as large as the argument

    @jax.jit
    def multiply(x: jax.Array, y: jax.Array) -> jax.Array:
        for _ in range(chained):
            x = x @ y
        return x

    def run(calls: int) -> None:
        z = x
        for _ in range(calls):
            z = multiply(z, y)
        jax.block_until_ready(z)

    flops = 2 * side**3 * chained
    run(2)
    bursts = []
    for _ in range(3 if REHEARSE else 7):
        time.sleep(0.2)
        start = time.perf_counter()
        run(5)
        bursts.append(5 * flops / (time.perf_counter() - start))
    sustained = time_calls(run, flops, REPEATS, SECONDS)["rate"]
    return float(np.median(bursts)), sustained


def copy_rate() -> float:
    """Bytes per second read and written by adding to a large array."""
    size = 2**16 if REHEARSE else 2**31
    x = jax.random.normal(jax.random.key(0), (size // 4,))
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def run(calls: int) -> None:
        nonlocal x
        for _ in range(calls):
            x = add(x)
        jax.block_until_ready(x)

    return time_calls(run, 2 * size, REPEATS, SECONDS / 2)["rate"]


def make_config(
    variant: str, batch_size: int, attention: str, model: dict[str, Any] | None = None
) -> Config:
    side = 224 if not REHEARSE else 28 if "/14" in variant else 32
    dims = TINY if REHEARSE else {}
    made = ModelConfig(
        variant=variant,
        dtype="bfloat16",
        attention=attention,
        **dims | (model or {}),
    )
    config = Config(
        name="gpu",
        data=DataConfig(
            "none", (side, side), 4 if REHEARSE else batch_size, flip=False
        ),
        model=made,
        optim=OptimConfig(
            "adamw", learning_rate=1e-4, weight_decay=0.1, clip_global_norm=0.0
        ),
        train=TrainConfig(total_steps=100_000),
    )
    return resolve_config(config)


def random_state(abstract: Any) -> Any:
    """Returns a state of random weights: compiling the initialisers takes minutes."""
    rng = np.random.default_rng(0)

    def make(path: Any, leaf: Any) -> jax.Array:
        name = jax.tree_util.keystr(path)
        if "params" not in name:
            return jnp.zeros(leaf.shape, leaf.dtype, device=leaf.sharding)
        values = rng.standard_normal(leaf.shape, np.float32) * 0.02
        if "scale" in name:
            values += 1
        return jax.device_put(values, leaf.sharding)

    return jax.tree_util.tree_map_with_path(make, abstract)


def train(
    variant: str,
    batch_size: int,
    attention: str,
    model: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    profiled: bool = False,
) -> dict[str, Any]:
    """Times the training step; ``options`` are XLA's, in the place of ours."""
    config = make_config(variant, batch_size, attention, model)
    mesh = make_mesh(config.mesh, jax.devices()[:1])
    batch = make_random_batch(config.data.batch_size, config, NUM_CLASSES, mesh)
    ours = compiler.OPTIONS.get("gpu", {})
    compiler.OPTIONS["gpu"] = ours | (options or {})
    try:
        program = make_trial_program(config, NUM_CLASSES, mesh)
        start = time.perf_counter()
        lowered = program.train_step.lower(program.abstract_state, batch)
        traced = time.perf_counter()
        step: Any = lowered.compile()
        compiled = time.perf_counter()
    finally:
        compiler.OPTIONS["gpu"] = ours
    before = measure_peak_memory(mesh) or 0
    state = random_state(program.abstract_state)
    losses = []

    def run(calls: int) -> None:
        nonlocal state
        update: Any = None
        for _ in range(calls):
            state, update = step(state, batch)
        jax.block_until_ready((state, update))
        losses.append(float(update["loss"]))

    timed = time_calls(run, config.data.batch_size, REPEATS, SECONDS)
    peak = measure_peak_memory(mesh) or 0
    size = config.data.image_size
    profile = {}
    if profiled:
        try:
            profile["profile"] = profile_of(
                lambda: run(3), 3, step.as_text(), attention
            )
        except Exception as error:  # noqa: BLE001  (the rate counts all the same)
            profile["profile"] = {"error": short(error)}
    return {
        "variant": variant,
        "images_per_s": timed.pop("rate"),
        **timed,
        "trace_s": traced - start,
        "compile_s": compiled - traced,
        "compiler_memory": measure_program(step).total,
        # Only where it is this program's: the device keeps one for the whole process.
        "peak_memory": peak if peak > before else None,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "flops_per_image": count_training_flops(config.model, NUM_CLASSES, size),
        **profile,
    }


def inference(variant: str, batch_size: int, attention: str) -> dict[str, Any]:
    """Times logits from uint8 images."""
    config = make_config(variant, batch_size, attention)
    mesh = make_mesh(config.mesh, jax.devices()[:1])
    images = make_random_batch(config.data.batch_size, config, NUM_CLASSES, mesh)[
        "image"
    ]
    program = make_trial_program(config, NUM_CLASSES, mesh)
    params = random_state(program.abstract_state).params
    gc.collect()

    def infer(params: Any, images: jax.Array) -> jax.Array:
        inputs = prepare_images(images, None, config.data, train=False)
        return apply_model(program.model, params, inputs, train=False)

    start = time.perf_counter()
    options = compiler.make_compiler_options(mesh)
    jitted = jax.jit(bind_mesh(infer, mesh), compiler_options=options)
    step = jitted.lower(params, images).compile()
    compiled = time.perf_counter()

    def run(calls: int) -> None:
        jax.block_until_ready([step(params, images) for _ in range(calls)])

    timed = time_calls(run, config.data.batch_size, REPEATS, SECONDS)
    size = config.data.image_size
    return {
        "variant": variant,
        "images_per_s": timed.pop("rate"),
        **timed,
        "compile_s": compiled - start,
        "compiler_memory": measure_program(step).total,
        "flops_per_image": count_inference_flops(config.model, NUM_CLASSES, size),
    }


WHAT: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (device, attention, padding, train, inference)
}


def main() -> None:
    if not REHEARSE and jax.default_backend() != "gpu":
        raise SystemExit(f"JAX finds no GPU, only {jax.devices()}")
    if REHEARSE:  # JAX's own formula stands in for the kernel
        fused = jax.nn.dot_product_attention

        def by_jax(*args: Any, implementation: str, **options: Any) -> Any:
            return fused(*args, implementation="xla", **options)

        jax.nn.dot_product_attention = by_jax
        models.check_devices = lambda *_: None
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer = WHAT[ask.pop("what")](**ask)
        except Exception as error:  # noqa: BLE001  (the next part is another)
            traceback.print_exc()
            answer = {"error": short(error)}
        print("result: " + json.dumps(answer), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
