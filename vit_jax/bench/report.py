"""A bench as a person reads it."""

from collections.abc import Mapping
from typing import Any

from vit_jax.config.choices import PHASES

GIB = 2**30


def format_bench(result: Mapping[str, Any]) -> str:
    """Returns a few lines for each phase."""
    config, device = result["config"], result["device"]
    height, width = config["image_size"]
    product = result["matrix_product"]
    name, side = config["variant"] or config["name"], product["side"]
    lines = [
        f"{name}, {width} x {height} pixels, {config['dtype']}",
        f"on {device['count']} {device['kind']}, where a matrix product of {side} x "
        + f"{side} runs at {product['flops_per_s'] / 1e12:.3g} TFLOP/s",
    ]
    for phase in PHASES:
        if phase in result:
            lines += _format_phase(phase, result[phase])
    return "\n".join(lines)


def _format_phase(name: str, phase: Mapping[str, Any]) -> list[str]:
    low, high = phase["quartiles"]
    share = f"{phase['share_of_matrix_product']:.1%} of the matrix product"
    if phase["mfu"] is not None:
        share = f"MFU {phase['mfu']:.1%}, {share}"
    memory = f"{phase['compiler_memory'] / GIB:.3f} GiB by the compiler"
    if phase.get("peak_memory"):
        memory += f", {phase['peak_memory'] / GIB:.3f} GiB measured"
    return [
        "",
        f"{name}, batch {phase['batch_size']}",
        f"  {phase['images_per_s']:,.1f} images/s, half of {phase['repeats']} repeats "
        + f"within {low:,.1f} to {high:,.1f}",
        f"  {share}",
        f"  {memory}",
        f"  traced in {phase['trace_s']:.1f} s, compiled in {phase['compile_s']:.1f} s, "
        + f"from the cache in {phase['compile_from_cache_s']:.1f} s",
    ]
