"""The card of a checkpoint: what it is, how to use it, and which run may go on from it.

A JSON file beside the arrays: the model's and the run's config, preprocessing, class
names and the last metrics.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from vit_jax._version import __version__
from vit_jax.config import PLAIN, Config, ModelConfig
from vit_jax.config.file import from_dict
from vit_jax.errors import ConfigError
from vit_jax.storage import bucket

FOLDER = "checkpoints"  # in a workdir


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
    """
    folder = find_checkpoint(path)
    if folder is None:
        return None
    with report_damage(folder):
        reader = ocp.Checkpointer(
            ocp.JsonCheckpointHandler(), multiprocessing_options=read_alone()
        )
        card = reader.restore(folder / "card")
        return {**card, "step": int(folder.name)}


def read_alone() -> ocp.options.MultiprocessingOptions:
    """Reading needs no other process, and one of them may not be there."""
    here = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}
    )


def read_model_config(card: Mapping[str, Any]) -> ModelConfig:
    """Returns the model that a checkpoint's arrays are of."""
    return from_dict(ModelConfig, card["model"], "card.model")


def find_checkpoint(path: Path) -> epath.Path | None:
    """Returns the folder of the finished checkpoint that ``path`` means."""
    resolved = epath.Path(path)
    if not bucket.is_bucket(path):
        resolved = resolved.resolve()
    names = ocp.path.step.standard_name_format()
    if resolved.parent.name == FOLDER and resolved.name.isdigit():
        found = [m.path for m in names.find_all(resolved.parent)]
        return next((epath.Path(p) for p in found if p.name == resolved.name), None)
    if not bucket.has_folder(resolved / FOLDER):
        return None
    steps = [metadata.step for metadata in names.find_all(resolved / FOLDER)]
    return resolved / FOLDER / str(max(steps)) if steps else None


@contextlib.contextmanager
def report_damage(folder: Any) -> Iterator[None]:
    """Raises ConfigError where a checkpoint's files are missing or broken."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"checkpoint {folder} cannot be read ({reason}); if it is damaged, remove "
            "that folder and repeat the command: an older checkpoint or a fresh start "
            "takes its place"
        ) from error


def check_same_run(
    card: Mapping[str, Any],
    config: Config,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
) -> list[str]:
    """Compares a workdir's checkpoint with the run that wants to go on from it.

    Returns:
      What else of the config is another one now, a sentence each.

    Raises:
      ConfigError: another model, optimizer, order of the data or other classes.
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
