"""What is timed: a training step, inference, and a large matrix product to compare.

The batch is random and stays on the devices, so the input pipeline is not timed.
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
from vit_jax.mesh.constraints import bind_mesh
from vit_jax.mesh.sharding import get_shardings, make_batch_sharding, shard_batch
from vit_jax.models.apply import apply_model
from vit_jax.models.flops import count_inference_flops, count_training_flops
from vit_jax.plan.memory import measure_program
from vit_jax.plan.trial import make_trial_program


def time_training(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times training steps of a resolved config, each from the previous state.

    Args:
      config: resolved.
      mesh: to train on.
      num_classes: of the data.
      repeats: number of measurements.
      seconds: approximate duration of one measurement.

    Returns:
      ``rate`` in images per second, and more; see `measure.run_bench`.
    """
    size = config.data.batch_size
    batch = make_random_batch(size, config, num_classes, mesh)

    def lower() -> Any:
        program = make_trial_program(config, num_classes, mesh)
        return program.train_step.lower(program.abstract_state, batch)

    step, compiling = compile_twice(lower)
    program = make_trial_program(config, num_classes, mesh)
    state = program.init()

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
            config.model, program.num_outputs, config.data.image_size
        ),
    }


def time_inference(
    config: Config, mesh: Mesh, num_classes: int, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times inference from uint8 images to logits, in batches of ``eval_batch_size``.

    Args:
      config: resolved.
      mesh: to compute on.
      num_classes: of the data.
      repeats: number of measurements.
      seconds: approximate duration of one measurement.

    Returns:
      ``rate`` in images per second, and more; see `measure.run_bench`.
    """
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
    program = make_trial_program(config, num_classes, mesh)
    params = program.init().params

    def run(calls: int) -> None:
        jax.block_until_ready([infer(params, images) for _ in range(calls)])

    timed = time_calls(run, size, repeats, seconds)
    # The device's peak would include the optimizer state of the initialisation.
    memory = measure_program(infer).total
    flops = count_inference_flops(
        config.model, program.num_outputs, config.data.image_size
    )
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
    """Times a large square matrix product on every device: the attainable FLOP/s.

    Args:
      mesh: its devices all compute at once.
      dtype: of the matrices; float32 is used on CPUs.
      repeats: number of measurements.
      seconds: approximate duration of one measurement.
    """
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    side, chained = (1024, 1) if on_cpu else (8192, 16)
    if on_cpu:
        dtype = "float32"  # narrower types are emulated, slower than the machine can be
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    shape = (mesh.devices.size, side, side)
    same = jnp.full(shape, 1 / side, dtype, device=sharding)

    @jax.jit
    def multiply(x: jax.Array, y: jax.Array) -> jax.Array:
        # Many products in one dispatch, each of which depends on the previous one.
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
    """Returns a batch on the mesh: uint8 images and labels, the same in every run.

    Args:
      size: images of the global batch.
      config: gives the size of the images.
      num_classes: y; labels are below it.
      mesh: to shard the batch over.
    """
    rng = np.random.default_rng(0)
    local = size // jax.process_count()
    shape = (local, *config.data.image_size, 3)
    batch = {
        "image": rng.integers(0, 256, shape, dtype=np.uint8),
        "label": rng.integers(0, num_classes, local, dtype=np.int32),
    }
    return shard_batch(batch, mesh)


def measure_peak_memory(mesh: Mesh) -> int | None:
    """Returns the peak bytes in use on any device; None where devices do not count."""
    peaks = [
        (device.memory_stats() or {}).get("peak_bytes_in_use")
        for device in mesh.local_devices
    ]
    return max((peak for peak in peaks if peak), default=None)
