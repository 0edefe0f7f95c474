"""A plan as a person reads it: text, a table of several, a picture of memory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_jax.errors import ConfigError
from vit_jax.plan.estimate import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GIB, MIB = 2**30, 2**20


def format_plan(plan: Plan) -> str:
    """Returns the plan in some twenty lines."""
    run, hardware = plan.run, plan.hardware
    axes = " x ".join(f"{size} {axis}" for axis, size in run["mesh"].items())
    height, width = run["image_size"]
    layers = "scan" if run["scan"] else "loop"
    slice_ = f" ({hardware['topology']})" if hardware["topology"] else ""
    lines = [
        f"{run['variant'] or run['config']}, {width} x {height} pixels, {run['dtype']}",
        f"{layers} over layers, remat {run['remat']}, {run['optimizer']}, "
        + f"batch {run['batch_size']} in {run['micro_batches']}",
        f"on {hardware['num_devices']} {hardware['chip']}{slice_}, mesh {axes}",
        f"parameters    {plan.parameters / 1e6:,.1f} M",
        f"training      {plan.flops_per_image / 1e9:,.1f} GFLOP an image",
        "",
        "bytes of one device",
    ]
    for name, size in dataclasses.asdict(plan.counted).items():
        lines.append(f"  {name:<12}{size / GIB:9.3f} GiB  counted")
    lines.append(f"  {'sum':<12}{plan.counted.total / GIB:9.3f} GiB  counted")
    if plan.compiled:
        for name, size in dataclasses.asdict(plan.compiled).items():
            lines.append(f"  {name:<12}{size / GIB:9.3f} GiB  compiler")
    lines.append(f"  {'needed':<12}{plan.needed / GIB:9.3f} GiB{_verdict(plan)}")
    if plan.program:
        lines += ["", "collectives of a step, on one device"]
        for c in plan.program.collectives:
            lines.append(
                f"  {c.kind:<20}{c.count:6} times {c.bytes / MIB:10.1f} MiB, "
                f"{c.sent / MIB:10.1f} MiB sent"
            )
        if not plan.program.collectives:
            lines.append("  none")
    lines += ["", *_speed(plan), "", *(f"- {line}" for line in plan.rests_on)]
    return "\n".join(lines)


def _verdict(plan: Plan) -> str:
    if plan.capacity is None:
        return ""
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    return f"  of {plan.capacity / GIB:.2f} GiB: {verdict}"


def _speed(plan: Plan) -> list[str]:
    p = plan.prediction
    if p is None:
        return []
    lines = [
        "seconds of a step",
        f"  products at peak  {p.matrix:9.4f}",
        f"  memory            {p.memory:9.4f}",
        f"  links             {p.links:9.4f}",
        f"  roofline          {p.roofline:9.4f}   (the largest of these)",
        f"  {p.intensity:,.0f} FLOPs per byte of memory traffic",
    ]
    if p.compiler and plan.program and plan.program.cycles:
        lines.append(
            f"  compiler          {p.compiler:9.4f}   "
            f"({plan.program.cycles:,} cycles beside the links)"
        )
    low, high = p.images_per_s
    if p.compiler:
        mfu = f"MFU {p.mfu[0]:.0%} to {p.mfu[1]:.0%}"
        lines.append(f"predicted     {low:,.0f} to {high:,.0f} images/s, {mfu}")
    else:
        lines.append(f"at most       {high:,.0f} images/s")
    return lines


def format_table(plans: Sequence[Plan]) -> str:
    """Returns a row for each plan, in their order."""
    rows = [
        "  data  fsdp tensor  micro-batches  remat   GiB needed  fits  compiled  images/s"
    ]
    for plan in plans:
        sizes = plan.run["mesh"]
        speed = plan.prediction.images_per_s[0] if plan.prediction else 0
        rows.append(
            f"{sizes['data']:6}{sizes['fsdp']:6}{sizes['tensor']:7}"
            f"{plan.run['micro_batches']:15}  {plan.run['remat']:<6}"
            f"{plan.needed / GIB:12.2f}  {'yes' if plan.fits else 'no':<4}"
            f"  {'yes' if plan.program else 'no':<8}{speed:10,.0f}"
        )
    return "\n".join(rows)


def draw_memory(plans: Sequence[Plan], path: Path) -> "Figure":
    """Draws the memory of one device by kind, a bar for each plan, and saves it.

    What was counted is stacked by kind; a black mark is the compiler's total, a dashed
    line the chip's memory.

    Raises:
      ConfigError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "the picture needs Matplotlib, which is not installed; "
            'pip install "vit_jax[plots]"'
        ) from error
    figure = Figure(figsize=(8, 1.6 + 0.6 * len(plans)), layout="constrained")
    axes = figure.subplots()
    kinds = list(dataclasses.asdict(plans[0].counted))
    left = [0.0] * len(plans)
    rows = range(len(plans))
    for kind in kinds:
        sizes = [getattr(plan.counted, kind) / GIB for plan in plans]
        axes.barh(rows, sizes, left=left, label=kind, height=0.6)
        left = [a + b for a, b in zip(left, sizes, strict=True)]
    for row, plan in enumerate(plans):
        span = (row - 0.36, row + 0.36)
        if plan.compiled:
            label = "compiler" if not row else None
            x = plan.compiled.total / GIB
            axes.plot((x, x), span, color="black", linewidth=2.5, label=label)
        if plan.capacity:
            label = "chip" if not row else None
            x = plan.capacity / GIB
            axes.plot((x, x), span, "--", color="gray", linewidth=2, label=label)
    axes.set_yticks(rows, [_name(plan) for plan in plans])
    axes.invert_yaxis()
    axes.set_xlabel("GiB of one device")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)
    return figure


def _name(plan: Plan) -> str:
    run, hardware = plan.run, plan.hardware
    where = hardware["topology"] or f"{hardware['num_devices']} {hardware['chip']}"
    sizes = "x".join(str(size) for size in run["mesh"].values())
    name, parts = run["variant"] or run["config"], run["micro_batches"]
    batch = f"batch {run['batch_size']}" + (f" in {parts}" if parts > 1 else "")
    return f"{name}, {batch}, remat {run['remat']}\n{where}, mesh {sizes}"
