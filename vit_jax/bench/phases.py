"""What is timed: a training step, inference, and a large matrix product beside them.

The batch is random and lies on the devices, so the input pipeline is not part of it.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax.bench.timing import compile_twice, time_calls
from vit_jax.config import Config
from vit_jax.data import augment
from vit_jax.mesh.compiler import make_compiler_options
from vit_jax.mesh.sharding import (
    bind_mesh,
    get_shardings,
    make_batch_sharding,
    shard_batch,
)
from vit_jax.models.apply import apply_model
from vit_jax.models.flops import count_inference_flops, count_training_flops
from vit_jax.plan.memory import measure_program
from vit_jax.plan.trial import make_trial_program


def time_training(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times updates of a resolved config: each starts from the state before."""
    size = config.data.batch_size
    batch = make_random_batch(size, config, num_classes, mesh)

    def lower() -> Any:
        program = make_trial_program(config, num_classes, mesh)
        return program.train_step.lower(program.abstract_state, batch)

    step, compiling = compile_twice(lower)
    state = make_trial_program(config, num_classes, mesh).init()

    def run(calls: int) -> None:
        nonlocal state
        update = None
        for _ in range(calls):
            state, update = step(state, batch)
        jax.block_until_ready((state, update))

    timed = time_calls(run, size, repeats, seconds)
    return {
        "batch_size": size,
        **timed,
        **compiling,
        "compiler_memory": measure_program(step).total,
        "peak_memory": measure_peak_memory(mesh),
        "flops_per_image": count_training_flops(
            config.model, num_classes, config.data.image_size
        ),
    }


def time_inference(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times logits from uint8 images, batches of ``eval_batch_size``."""
    size = config.data.eval_batch_size or config.data.batch_size
    images = make_random_batch(size, config, num_classes, mesh)["image"]
    prepare = functools.partial(augment.prepare_images, data=config.data)

    def lower() -> Any:
        program = make_trial_program(config, num_classes, mesh)
        params = program.abstract_state.params

        def infer(params: Any, images: jax.Array) -> jax.Array:
            inputs = prepare(images, None, train=False)
            return apply_model(program.model, params, inputs, train=False)

        return jax.jit(
            bind_mesh(infer, mesh),
            in_shardings=(get_shardings(params), make_batch_sharding(mesh)),
            compiler_options=make_compiler_options(mesh),
        ).lower(params, images)

    infer, compiling = compile_twice(lower)
    params = make_trial_program(config, num_classes, mesh).init().params

    def run(calls: int) -> None:
        jax.block_until_ready([infer(params, images) for _ in range(calls)])

    timed = time_calls(run, size, repeats, seconds)
    # The device's own peak would be that of initialisation, moments and all.
    memory = measure_program(infer).total
    flops = count_inference_flops(config.model, num_classes, config.data.image_size)
    return {
        "batch_size": size,
        **timed,
        **compiling,
        "compiler_memory": memory,
        "flops_per_image": flops,
    }


def time_matrix_product(
    mesh: Mesh, dtype: str, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times a large square product on every device at once: what can be had here."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    side, chained = (1024, 1) if on_cpu else (8192, 16)
    if on_cpu:
        dtype = "float32"  # narrower ones are slower there: no measure of the machine
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    shape = (mesh.devices.size, side, side)
    same = jnp.full(shape, 1 / side, dtype, device=sharding)

    @jax.jit
    def multiply(x: jax.Array, y: jax.Array) -> jax.Array:
        # One dispatch for many products; each needs the one before.
        return jax.lax.fori_loop(0, chained, lambda _, x: x @ y, x)

    def run(calls: int) -> None:
        x = same
        for _ in range(calls):
            x = multiply(x, same)
        jax.block_until_ready(x)

    flops = 2 * side**3 * chained * mesh.devices.size
    timed = time_calls(run, flops, repeats, seconds)
    return {
        "side": side,
        "dtype": dtype,
        "flops_per_s": timed["rate"],
        "quartiles": timed["quartiles"],
    }


def make_random_batch(size: int, config: Config, num_classes: int, mesh: Mesh) -> Any:
    """Returns uint8 images and labels, the same in every run, on the mesh."""
    rng = np.random.default_rng(0)
    local = size // jax.process_count()
    shape = (local, *config.data.image_size, 3)
    batch = {
        "image": rng.integers(0, 256, shape, dtype=np.uint8),
        "label": rng.integers(0, num_classes, local, dtype=np.int32),
    }
    return shard_batch(batch, mesh)


def measure_peak_memory(mesh: Mesh) -> int | None:
    """Returns the most bytes that a device ever held; None where it is not counted."""
    peaks = [
        (device.memory_stats() or {}).get("peak_bytes_in_use")
        for device in mesh.local_devices
    ]
    return max((peak for peak in peaks if peak), default=None)
