"""Plans for people: the text of one, a table of several, a picture of memory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_jax.errors import ConfigError
from vit_jax.plan.estimate import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GIB, MIB = 2**30, 2**20

# Names of counted memory, where people read them.
_TERMS = {"moments": "optimizer state", "batch": "images"}


def format_plan(plan: Plan) -> str:
    """Returns a plan as text of about twenty lines."""
    run, hardware = plan.run, plan.hardware
    axes = " x ".join(f"{size} {axis}" for axis, size in run["mesh"].items())
    height, width = run["image_size"]
    parts = run["micro_batches"]
    layers = "scan" if run["scan"] else "loop"
    slice_ = f" ({hardware['topology']})" if hardware["topology"] else ""
    lines = [
        f"{run['variant'] or run['config']}, {width} x {height} pixels, {run['dtype']}",
        f"{layers} over layers, remat {run['remat']}, {run['optimizer']}, "
        + f"batch {run['batch_size']} in {parts} micro-batch{'es' if parts > 1 else ''}",
        f"on {hardware['num_devices']} {hardware['chip']}{slice_}, mesh {axes}",
        f"parameters    {plan.parameters / 1e6:,.1f} M",
        f"training      {plan.flops_per_image / 1e9:,.1f} GFLOPs per image",
    ]
    lines += ["", *_format_memory(plan), *_format_collectives(plan)]
    lines += ["", *_format_speed(plan), "", *(f"- {line}" for line in plan.rests_on)]
    return "\n".join(lines)


def _format_memory(plan: Plan) -> list[str]:
    lines = ["memory of one device"]
    for name, size in dataclasses.asdict(plan.counted).items():
        lines.append(f"  {_TERMS.get(name, name):<16}{size / GIB:9.3f} GiB  counted")
    lines.append(f"  {'sum':<16}{plan.counted.total / GIB:9.3f} GiB  counted")
    if plan.compiled:
        for name, size in dataclasses.asdict(plan.compiled).items():
            lines.append(f"  {name:<16}{size / GIB:9.3f} GiB  compiler")
    lines.append(f"  {'needed':<16}{plan.needed / GIB:9.3f} GiB{_format_verdict(plan)}")
    return lines


def _format_collectives(plan: Plan) -> list[str]:
    if not plan.program:
        return []
    lines = ["", "collectives of a step, on one device"]
    for c in plan.program.collectives:
        lines.append(
            f"  {c.kind:<20}{c.count:6} times {c.bytes / MIB:10.1f} MiB, "
            f"{c.sent / MIB:10.1f} MiB sent"
        )
    return lines if plan.program.collectives else [*lines, "  none"]


def _format_verdict(plan: Plan) -> str:
    if plan.capacity is None:
        return ""
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    return f"  of {plan.capacity / GIB:.2f} GiB: {verdict}"


def _format_speed(plan: Plan) -> list[str]:
    p = plan.prediction
    if p is None:
        return []
    lines = [
        "seconds per step",
        f"  compute at peak   {p.matrix:9.4f}",
        f"  memory traffic    {p.memory:9.4f}",
        f"  communication     {p.links:9.4f}",
        f"  roofline          {p.roofline:9.4f}   (the largest of the three)",
        f"  {p.intensity:,.0f} FLOPs per byte of memory traffic",
    ]
    if p.compiler and plan.program and plan.program.cycles:
        lines.append(
            f"  compiler          {p.compiler:9.4f}   "
            f"({plan.program.cycles:,} cycles without communication)"
        )
    low, high = p.images_per_s
    if p.compiler:
        mfu = f"MFU {p.mfu[0]:.0%} to {p.mfu[1]:.0%}"
        lines.append(f"predicted     {low:,.0f} to {high:,.0f} images/s, {mfu}")
    else:
        lines.append(f"at most       {high:,.0f} images/s")
    return lines


def format_plans(plans: Sequence[Plan]) -> str:
    """Returns a table with a row for each plan, in their order."""
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
    """Draws the memory of one device, a bar for each plan, and saves the picture.

    Bars stack the counted memory by kind. A black line marks the compiler's total, a
    dashed line the chip's capacity.

    Args:
      plans: at least one.
      path: of the picture; its suffix sets the format.

    Raises:
      ConfigError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "matplotlib must be installed to draw a picture; run "
            '`pip install "vit_jax[plots]"`'
        ) from error
    figure = Figure(figsize=(8, 1.6 + 0.6 * len(plans)), layout="constrained")
    axes = figure.subplots()
    kinds = list(dataclasses.asdict(plans[0].counted))
    left = [0.0] * len(plans)
    rows = range(len(plans))
    for kind in kinds:
        sizes = [getattr(plan.counted, kind) / GIB for plan in plans]
        axes.barh(rows, sizes, left=left, label=_TERMS.get(kind, kind), height=0.6)
        left = [a + b for a, b in zip(left, sizes, strict=True)]
    for row, plan in enumerate(plans):
        span = (row - 0.36, row + 0.36)
        if plan.compiled:
            label = "total by the compiler" if not row else None
            x = plan.compiled.total / GIB
            axes.plot((x, x), span, color="black", linewidth=2.5, label=label)
        if plan.capacity:
            label = "capacity of the chip" if not row else None
            x = plan.capacity / GIB
            axes.plot((x, x), span, "--", color="gray", linewidth=2, label=label)
    axes.set_yticks(rows, [_name_plan(plan) for plan in plans])
    axes.invert_yaxis()
    axes.set_xlabel("memory of one device (GiB)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)
    return figure


def _name_plan(plan: Plan) -> str:
    run, hardware = plan.run, plan.hardware
    where = hardware["topology"] or f"{hardware['num_devices']} {hardware['chip']}"
    sizes = "x".join(str(size) for size in run["mesh"].values())
    name, parts = run["variant"] or run["config"], run["micro_batches"]
    batch = f"batch {run['batch_size']}" + (f" in {parts}" if parts > 1 else "")
    return f"{name}, {batch}, remat {run['remat']}\n{where}, mesh {sizes}"
