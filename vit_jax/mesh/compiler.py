"""Options of XLA, per platform: each with its reason and what it was seen to do."""

import functools

import jax
from jax.sharding import Mesh

OPTIONS: dict[str, dict[str, bool | int | str]] = {
    "tpu": {
        # XLA turns a product whose operand is gathered over the mesh into a loop of
        # small products beside the exchange. A ViT's matrices under FSDP are too small
        # for that: whole gathers, which also run beside arithmetic, are better. For a
        # step of S/16 on v5e:2x4, fsdp 8, 32 images a chip, libtpu 0.0.50 (JAX 0.12)
        # counts 118 M cycles in loops and 42 M without, and half the bytes exchanged
        # (benchmarks/compiler_options.py); 0.0.42 (JAX 0.10) the same threefold.
        "xla_jf_spmd_threshold_for_windowed_einsum_mib": 1_000_000,
        # What recipes for language models set besides changes neither cycles, memory
        # nor exchange there: xla_tpu_enable_data_parallel_all_reduce_opt,
        # xla_tpu_enable_async_collective_fusion. So neither is set.
    },
    "gpu": {
        # The scheduler that starts a collective early, off by default when the JAX team
        # wrote docs.jax.dev/en/latest/gpu_performance_tips.html. Not measured here.
        "xla_gpu_enable_latency_hiding_scheduler": True,
    },
    "cpu": {
        # The kernels of YNNPACK save 4 of 100 CPU seconds of a training step, the median
        # of seven models, and take up to 1.45 times the memory: they keep intermediate
        # results that XLA's own fusion does not, and their packed operands, which no
        # plan counts (benchmarks/plan_memory.py).
        "xla_cpu_experimental_ynn_fusion_type": "",
    },
}


def make_compiler_options(mesh: Mesh) -> dict[str, bool | int | str]:
    """Returns the options to compile with for the devices of a mesh."""
    platform = mesh.devices.flat[0].platform
    options = OPTIONS.get(platform, {})
    if platform != "cpu":
        return options
    # The name says experimental: an XLA that has lost it must not stop every laptop.
    return {name: value for name, value in options.items() if _is_known(name, value)}


@functools.cache
def _is_known(name: str, value: bool | int | str) -> bool:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        trial = jax.jit(lambda: 0, compiler_options={name: value}).lower()
    try:
        trial.compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
