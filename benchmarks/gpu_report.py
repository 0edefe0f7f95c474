"""What the results of `gpu.py` say: shares, a line for each, and what to do next."""

import json
from collections import defaultdict
from typing import Any

GIB = 2**30


def add_shares(results: dict[str, Any]) -> None:
    """Adds to each rate its share of the product measured here, and its MFU."""
    parts = results["parts"]
    sheet = parts.get("device", {}).get("peak_flops")
    products = (parts.get(name, {}) for name in ("device", "peak of torch"))
    measured = max((x.get("product_flops_per_s", 0) for x in products), default=0)
    flops = {
        (found["variant"], name.split()[0]): found["flops_per_image"]
        for name, found in parts.items()
        if "flops_per_image" in found
    }
    for name, found in parts.items():
        if "images_per_s" not in found:
            continue
        per_image = flops.get((found["variant"], name.split()[0]))  # timm's are ours
        if per_image:
            rate = found["images_per_s"] * per_image
            found["share_of_product"] = rate / measured if measured else None
            found["mfu"] = rate / sheet if sheet else None


def line_of(name: str, found: dict[str, Any]) -> str:
    """Returns a part's result as one line, or a few."""
    if "error" in found:
        return f"{name}: failed: {found['error']}"
    if "images_per_s" in found:
        low, high = found["quartiles"]
        text = (
            f"{name}: {found['images_per_s']:,.0f} images/s ({low:,.0f} to {high:,.0f})"
        )
        if found.get("share_of_product"):
            text += f", {found['share_of_product']:.1%} of the product"
        if found.get("mfu"):
            text += f", MFU {found['mfu']:.1%}"
        if found.get("compile_s"):
            text += f", compiled in {found['compile_s']:.0f} s"
        for key, what in (("peak_memory", "measured"), ("compiler_memory", "compiler")):
            if found.get(key):
                text += f", {found[key] / GIB:.2f} GiB {what}"
        if "profile" in found:
            shown = found["profile"].get("by_kind", found["profile"])
            text += f"\n  {json.dumps(shown)}"
        return text
    if "rows" in found:
        return "\n  ".join([f"{name}:", *(json.dumps(row) for row in found["rows"])])
    return f"{name}: {json.dumps(found)}"


def next_steps(parts: dict[str, Any]) -> list[str]:
    """Returns what the numbers suggest."""
    steps = []
    rates: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for name, found in parts.items():
        if "error" in found:
            steps.append(f"find out why {name} failed: {found['error']}")
        if "images_per_s" in found:
            phase, variant = name.split()[0], found["variant"]
            case = name.removeprefix(f"{phase} {variant}, ")
            rates[phase, variant][case] = found["images_per_s"]
        peak, planned = found.get("peak_memory"), found.get("compiler_memory")
        if peak and planned and abs(peak / planned - 1) > 0.1:
            steps.append(
                f"{name}: the device held {peak / GIB:.2f} GiB where the compiler "
                f"counted {planned / GIB:.2f}: a plan is off by as much"
            )
    for (phase, variant), cases in rates.items():
        ours = {case: rate for case, rate in cases.items() if "timm" not in case}
        theirs = {case: rate for case, rate in cases.items() if "timm" in case}
        if not ours:
            continue
        best = max(ours, key=lambda case: ours[case])
        text = f"{phase} {variant}: take {best} ({ours[best]:,.0f} images/s)"
        if theirs:
            other = max(theirs, key=lambda case: theirs[case])
            text += f", {ours[best] / theirs[other]:.2f} times {other}"
        share = parts[f"{phase} {variant}, {best}"].get("share_of_product")
        if share and share < 0.6:
            text += f"; {share:.0%} of a large product, so there is more to have"
        steps.append(text)
    for name, found in parts.items():
        if by_kind := found.get("profile", {}).get("by_kind"):
            kinds = ", ".join(f"{kind} {ms:.1f} ms" for kind, ms in by_kind.items())
            steps.append(
                f"{name}: {kinds} a step; shorten the largest but the products"
            )
    return steps
