"""Options of XLA by platform, each with its reason and its measured effect."""

import functools

import jax
from jax.sharding import Mesh

OPTIONS: dict[str, dict[str, bool | int | str]] = {
    "tpu": {
        # XLA turns a product whose operand is gathered over the mesh into a loop of
        # small products that overlap the exchange. A ViT's matrices under FSDP are too
        # small for that: whole gathers, which overlap arithmetic too, are better. For a
        # step of S/16 on v5e:2x4, fsdp 8, 32 images per chip, libtpu 0.0.50 (JAX 0.12)
        # estimates 118 M cycles with the loops and 42 M without, and half the bytes
        # exchanged (benchmarks/compiler_options.py). 0.0.42 (JAX 0.10): the same ratio.
        "xla_jf_spmd_threshold_for_windowed_einsum_mib": 1_000_000,
        # Two more options that recipes for language models set change neither cycles,
        # memory nor exchange of that step, so they are not set:
        # xla_tpu_enable_data_parallel_all_reduce_opt and
        # xla_tpu_enable_async_collective_fusion.
    },
    "gpu": {
        # The scheduler that starts collectives early; it was off by default when
        # docs.jax.dev/en/latest/gpu_performance_tips.html was written. Not measured.
        "xla_gpu_enable_latency_hiding_scheduler": True,
    },
    "cpu": {
        # The kernels of YNNPACK save 4% of a training step's CPU time, the median of
        # seven models, and take up to 1.45 times the memory: they keep intermediate
        # results that XLA's own fusion does not, and packed operands, which no plan
        # counts (benchmarks/plan_memory.py).
        "xla_cpu_experimental_ynn_fusion_type": "",
    },
}


def make_compiler_options(mesh: Mesh) -> dict[str, bool | int | str]:
    """Returns the options to compile with for the devices of a mesh."""
    platform = mesh.devices.flat[0].platform
    options = OPTIONS.get(platform, {})
    if platform != "cpu":
        return options
    # The option is experimental: an XLA without it must not fail on every laptop.
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
