"""Options of XLA, per platform: each with its reason and what it was seen to do."""

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
    # CPU: nothing to overlap.
}


def compiler_options(mesh: Mesh) -> dict[str, bool | int | str]:
    """Returns the options to compile with for the devices of a mesh."""
    return OPTIONS.get(mesh.devices.flat[0].platform, {})
