"""The table of published weights, for people and for programs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.weights import files, locations, lookup
from vit_jax.weights.published.catalog import WEIGHTS
from vit_jax.weights.record import PublishedWeights

_DEFAULTS = dataclasses.asdict(ModelConfig())


def describe_table(pattern: str | None = None) -> list[dict[str, Any]]:
    """Returns a row for each set of weights, as JSON holds it.

    Args:
        pattern: as `find_weights` takes it; None: all.

    Raises:
        ConfigError: if nothing matches.
    """
    found = lookup.find_weights(pattern) if pattern else lookup.list_names()
    if not found:
        raise ConfigError(
            f'weights must match "{pattern}", but none do; `vit-jax models` lists all'
        )
    return [convert_to_json(WEIGHTS[name]) for name in found]


def convert_to_json(weights: PublishedWeights) -> dict[str, Any]:
    """Returns everything that is known about weights, as JSON holds it.

    ``model`` has only the fields that differ from the defaults.
    """
    row = dataclasses.asdict(weights)
    del row["locations"]
    if weights.model:
        fields = dataclasses.asdict(weights.model)
        row["model"] = {k: v for k, v in fields.items() if v != _DEFAULTS[k]}
    # The key that scripts have read since the first version.
    row["places"] = [
        {"url": locations.make_https_url(each), "lacks": list(each.lacks)}
        for each in weights.locations
    ]
    return row


def format_table(pattern: str | None = None) -> list[str]:
    """Returns the table as text, one line for each set of weights."""
    header = ("name", "params", "GFLOPs", "size", "top-1", "classes", "locations")
    rows: list[Sequence[str]] = [header]
    for row in describe_table(pattern):
        rows.append(
            (
                row["name"],
                _format_millions(row["params"]),
                _format_number(row["gflops"]),
                str(row["preprocessing"]["image_size"][1]),
                _format_number(row["top1"]),
                _format_number(row["num_classes"]),
                ", ".join(
                    dict.fromkeys(_name_host(each["url"]) for each in row["places"])
                ),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i in (0, len(row) - 1) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def describe_weights(name: str) -> list[str]:
    """Returns what is known about weights, in lines.

    Raises:
        ConfigError: for an unknown name.
    """
    weights = files.describe_published(name)
    row = convert_to_json(weights)
    fields = {
        "model": " ".join(f"{k}={v}" for k, v in (row["model"] or {}).items()),
        "parameters": f"{weights.params:,}" if weights.params else "",
        "GFLOPs": f"{weights.gflops} (1e9 multiply-adds)" if weights.gflops else "",
        "classes": _format_classes(weights),
        "top-1": f"{weights.top1} % ({weights.top1_source})" if weights.top1 else "",
        "images": _format_preprocessing(weights),
        "trained on": weights.trained_on,
        "paper": f"https://arxiv.org/abs/{weights.paper}" if weights.paper else "",
        "license": weights.license,
        "note": weights.note,
    }
    lines = [weights.name]
    lines += [f"  {key:<11} {value}" for key, value in fields.items() if value]
    for i, location in enumerate(weights.locations):
        without = f" (without {', '.join(location.lacks)})" if location.lacks else ""
        url = locations.make_https_url(location)
        lines.append(f"  {'' if i else 'locations':<11} {url}{without}")
    return lines


def _format_classes(weights: PublishedWeights) -> str:
    if weights.num_classes is None:
        return "none: features" if weights.params else ""  # without: not known
    known = f" ({weights.classes})" if weights.classes else ""
    return f"{weights.num_classes:,}{known}"


def _format_preprocessing(weights: PublishedWeights) -> str:
    if weights.preprocessing is None:
        return ""
    p = weights.preprocessing
    crop = p.eval_crop
    crop += f" {p.eval_crop_fraction:g}" if crop == "center" else ""
    low, high = p.value_range
    text = f"{p.image_size[0]} x {p.image_size[1]}, {crop}, {p.interpolation}"
    text += f", values {low:g} to {high:g}"
    if any(p.mean) or p.std != (1.0, 1.0, 1.0):
        text += f", mean {p.mean}, std {p.std}"
    return text


def _name_host(url: str) -> str:
    return "Hub" if "/resolve/" in url else "GCS" if "googleapis" in url else "web"


def _format_millions(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.1f} M"


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"
