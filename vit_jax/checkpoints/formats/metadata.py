"""What a checkpoint says beside its arrays, in its own metadata or its config files."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.checkpoints.trees import make_printable
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.config.typed import from_dict
from vit_jax.errors import ConfigError

KEY = "vit_jax"  # under which our own writer puts its part of a file's metadata
_MAX_SIZE = 32 << 20  # of a config file; the largest name 21,843 classes


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What is known about a checkpoint, but not from its arrays.

    Attributes:
        fields: of `ModelConfig`.
        preprocessing: fields of `Preprocessing`.
        class_names: in the order of the logits.
        notes: one sentence each.
        loss: what the head means; None: nothing says it.
    """

    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preprocessing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    loss: str | None = None

    def complete(self, fields: Mapping[str, Any], *notes: str) -> "Metadata":
        """Returns this metadata, with ``fields`` where it says nothing."""
        return self.override(Metadata(fields, notes=notes))

    def override(self, other: "Metadata") -> "Metadata":
        """Returns both together; where they differ, this one wins."""
        known = {k: v for k, v in self.fields.items() if v is not None}
        return Metadata(
            fields={**other.fields, **known},
            preprocessing={**other.preprocessing, **self.preprocessing},
            class_names=self.class_names or other.class_names,
            notes=(*other.notes, *self.notes),
            loss=self.loss or other.loss,
        )


def read_json_file(path: Path) -> dict[str, Any]:
    """Returns the table in a JSON file; an empty one where there is no file.

    Raises:
        ConfigError: it is something else.
    """
    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > _MAX_SIZE:
            raise ValueError("it is too large")
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; fix it, or move it away") \
            from error  # fmt: skip
    if not isinstance(table, dict):
        raise ConfigError(f"{path} must hold a table, got {type(table).__name__}")
    return table


def check_supported(key: str, value: str, known: Iterable[str]) -> None:
    """Raises ConfigError unless a value in a config file is one that we have."""
    known = list(known)
    if value not in known:
        raise ConfigError(
            f"{key} in its config.json must be one of {', '.join(known)}, got "
            f'"{make_printable(value)}"; take another checkpoint'
        )


def read_own_metadata(text: str, what: str) -> Metadata:
    """Returns what our own writer put into a file.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        table = json.loads(text)
        model = from_dict(ModelConfig, table["model"], "model")
        names = table.get("class_names")
        preprocessing = table.get("preprocessing")
        if preprocessing is not None:
            preprocessing = from_dict(Preprocessing, preprocessing, "preprocessing")
        names = tuple(str(name) for name in names) if names else None
        loss = table.get("loss")
        if not (loss is None or isinstance(loss, str)):
            raise TypeError("a loss has a name")
    except ConfigError as error:
        raise ConfigError(
            f"{what} must have metadata that this version knows "
            f"({make_printable(str(error))}); use the version that wrote it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{what} must have metadata as vit_jax writes it, got other; "
            "check that the file is complete"
        ) from error
    return Metadata(
        fields=dataclasses.asdict(model),
        preprocessing=dataclasses.asdict(preprocessing) if preprocessing else {},
        class_names=names,
        loss=loss,
    )


def make_own_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """Returns metadata that `read_own_metadata` reads back."""
    sizes, names = checkpoint.preprocessing, checkpoint.class_names
    table = {
        "model": dataclasses.asdict(checkpoint.model),
        "preprocessing": sizes and dataclasses.asdict(sizes),
        "class_names": list(names) if names else None,
    }
    if checkpoint.loss != SOFTMAX:
        table["loss"] = checkpoint.loss
    return {"format": "pt", KEY: json.dumps(table, separators=(",", ":"))}


def make_value_range(mean: Any, std: Any) -> dict[str, Any]:
    """Returns fields of `Preprocessing` for the mean and deviation of 0..1 values.

    Empty where these are none. Equal channels are a range, as -1 to 1 for a half and a
    half, which is what the original's weights expect.
    """
    if not (is_numbers(mean, 3) and is_numbers(std, 3) and min(std) > 0):
        return {}
    ranges = {(-m / s, (1 - m) / s) for m, s in zip(mean, std, strict=True)}
    if len(ranges) == 1:
        return {"value_range": ranges.pop()}
    return {"value_range": (0.0, 1.0), "mean": tuple(mean), "std": tuple(std)}


def get_mean_and_std(preprocessing: Preprocessing) -> tuple[list[float], list[float]]:
    """Returns the mean and deviation of 0..1 values: the inverse of `make_value_range`."""
    low, high = preprocessing.value_range
    scale = 1 / (high - low)
    mean = [(m - low) * scale for m in preprocessing.mean]
    return mean, [s * scale for s in preprocessing.std]


def is_numbers(values: Any, count: int) -> bool:
    """Returns whether this is a list of so many finite numbers."""
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(type(v) in (int, float) and math.isfinite(v) for v in values)
    )


def read_image_size(value: Any) -> tuple[int, int] | None:
    """Returns (height, width) of a number, a pair, or a table with these keys."""
    if isinstance(value, Mapping):
        value = [value.get("height"), value.get("width")]
    pair = [value, value] if type(value) is int else value
    if isinstance(pair, list | tuple) and len(pair) == 2 and is_numbers(pair, 2):
        height, width = pair
        if type(height) is type(width) is int and min(height, width) > 0:
            return height, width
    return None


def read_positive(table: Mapping[str, Any], key: str, kind: type = int) -> Any:
    """Returns a positive number out of a config file, or None."""
    value = table.get(key)
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, int | float) or type(value) is not kind:
        return None
    return value if 0 < value < 2**31 else None  # NaN is neither
