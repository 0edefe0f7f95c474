"""Durations in epochs, examples or percent, converted to updates in one place."""

import dataclasses
import math
from typing import Any

from vit_jax.config.run import Config
from vit_jax.errors import ConfigError, check


@dataclasses.dataclass(frozen=True)
class Steps:
    """Every duration of a run, in updates."""

    total: int
    warmup: int
    eval_every: int
    save_every: int
    log_every: int


UNITS = ("steps", "epochs", "examples", "percent")


def list_duration_siblings(section: type, name: str) -> list[str]:
    """Returns the fields that give the same duration in other units, or []."""
    stem, _, unit = name.rpartition("_")
    fields = [field.name for field in dataclasses.fields(section)]
    if unit not in UNITS:
        return []
    return [f"{stem}_{u}" for u in UNITS if u != unit and f"{stem}_{u}" in fields]


def _convert_duration(
    section: Any, where: str, stem: str, num_examples: int, batch_size: int, total: int
) -> int | None:
    names = [f"{stem}_{unit}" for unit in UNITS if hasattr(section, f"{stem}_{unit}")]
    given = {n: getattr(section, n) for n in names if getattr(section, n) is not None}
    if not given:
        return None
    if len(given) > 1:
        raise ConfigError(
            f"config.{where} must have only one of {' and '.join(given)}, got "
            f"{len(given)}; remove all but one"
        )
    ((name, value),) = given.items()
    check(0 <= value < math.inf, f"config.{where}.{name}", "finite and >= 0", value)
    steps = {
        "steps": value,
        "epochs": value * num_examples / batch_size,
        "examples": value / batch_size,
        "percent": value * total / 100,
    }[name.rpartition("_")[2]]
    # Rounded half to even, as Python does; at least one step unless it is zero.
    return max(round(steps), 1 if value else 0)


def resolve_steps(config: Config, num_examples: int) -> Steps:
    """Converts epochs, examples and percent into updates.

    Args:
      config: the run.
      num_examples: size of the training split.

    Raises:
      ConfigError: no total, two units for one duration, a negative duration, or a
        warm-up that leaves no step to train.
    """
    batch_size = config.data.batch_size

    def steps(section: Any, where: str, stem: str, total: int) -> int | None:
        return _convert_duration(section, where, stem, num_examples, batch_size, total)

    total = steps(config.train, "train", "total", 0)
    if not total:
        raise ConfigError(
            "config.train must have total_steps, total_epochs or total_examples; "
            "add --config.train.total_epochs=10"
        )
    warmup = steps(config.optim, "optim", "warmup", total) or 0
    if (config.optim.warmup_percent or 100) < 100:  # a run of one step has none
        warmup = min(warmup, total - 1)
    if warmup >= total:
        raise ConfigError(
            f"config.optim.warmup_* must be shorter than the run of {total} steps, "
            f"got {warmup} steps; add --config.optim.warmup_percent=5"
        )
    return Steps(
        total=total,
        warmup=warmup,
        eval_every=steps(config.train, "train", "eval_every", total) or total,
        save_every=steps(config.train, "train", "save_every", total) or total,
        # A short run logs at least five times.
        log_every=min(config.train.log_every_steps, max(1, total // 5)),
    )
