"""The card of a checkpoint: what it is, how to use it, and which run may resume from it.

A JSON file beside the arrays: the model's and the run's config, preprocessing, class
names and the last metrics.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vit_jax._version import __version__
from vit_jax.checkpoints.files.orbax_files import find_step, read_json
from vit_jax.config import PLAIN, Config, ModelConfig
from vit_jax.config.file import from_dict
from vit_jax.errors import ConfigError


def make_card(
    config: Config,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    metrics: Mapping[str, Any] | None = None,
    metrics_step: int | None = None,
) -> dict[str, Any]:
    """Returns what a checkpoint says about itself, as JSON holds it.

    ``metrics`` are of the last evaluation, after ``metrics_step`` updates: a run that
    was interrupted is saved some updates later.
    """
    return {
        "format": 1,
        "vit_jax": __version__,
        "model": dataclasses.asdict(config.model),
        "preprocessing": dataclasses.asdict(config.data.preprocessing),
        "num_classes": num_classes,
        "class_names": list(class_names) if class_names else None,
        "config": dataclasses.asdict(config),
        "metrics": dict(metrics or {}),
        "metrics_step": metrics_step,
    }


def read_card(path: Path) -> dict[str, Any] | None:
    """Returns the card of the newest checkpoint in a workdir, or None if it has none.

    ``path`` may also be one checkpoint's own folder, ``WORKDIR/checkpoints/STEP``.

    Raises:
      ConfigError: it is damaged.
    """
    step = find_step(path)
    return None if step is None else read_step_card(step)


def read_step_card(step: Path) -> dict[str, Any]:
    """Returns the card of one step's folder; ``step`` in it is the folder's number.

    Raises:
      ConfigError: it is missing or damaged.
    """
    return {**read_json(step, "card"), "step": int(step.name)}


def read_model_config(card: Mapping[str, Any]) -> ModelConfig:
    """Returns the model that a checkpoint's arrays are of."""
    return from_dict(ModelConfig, card["model"], "card.model")


def check_same_run(
    card: Mapping[str, Any],
    config: Config,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
) -> list[str]:
    """Compares a workdir's checkpoint with the run that would resume it.

    Returns:
      What else in the config differs now, one sentence each.

    Raises:
      ConfigError: the model, optimizer, order of the data or classes differ.
    """
    old = {"objective.name": "classify", **dict(_flat(card["config"]))}  # of before
    new = dict(_flat(dataclasses.asdict(config)))
    old |= {"num_classes": card["num_classes"], "class_names": card["class_names"]}
    new |= {"num_classes": num_classes, "class_names": _plain(class_names)}
    differ = {
        key: f"{key} is {_short(old.get(key))} there and {_short(new.get(key))} here"
        for key in new
        if old.get(key) != new.get(key) and not _is_alike(key, old.get(key), new[key])
    }
    fixed = [text for key, text in differ.items() if key.startswith(_FIXED)]
    if fixed:
        raise ConfigError(
            f"the workdir holds another run's checkpoint (step {card['step']}): "
            f"{'; '.join(fixed)}; choose another --workdir"
        )
    return list(differ.values())


# What a checkpoint's arrays, its place in the data or its classes depend on.
_FIXED = (
    "model.",
    "num_classes",
    "class_names",
    "objective.",
    "seed",
    "data.image_size",
    "data.batch_size",
    "data.train_split",
    "data.repeated_augmentation",
    "optim.name",
    "optim.weight_decay",
    "optim.clip_global_norm",
    "optim.learning_rate_multipliers",
)


def _is_alike(key: str, old: Any, new: Any) -> bool:
    """Returns whether two values make no difference to what is saved."""
    if key == "optim.weight_decay_multipliers" or key.removeprefix("model.") in PLAIN:
        return True
    on_or_off = ("optim.weight_decay", "optim.clip_global_norm")
    return key in on_or_off and bool(old) == bool(new)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _plain(value)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """JSON makes lists of tuples."""
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return value
