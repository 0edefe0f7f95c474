"""From nested mappings to dataclasses: every key known, every value of its type."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax.errors import ConfigError, did_you_mean


def from_dict(section: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """Builds a frozen dataclass of sections from nested mappings.

    Raises:
      ConfigError: an unknown or missing key, or a value of another type, with its path.
    """
    hints = typing.get_type_hints(section)
    check_keys(section, values, where)
    made = {}
    for field in dataclasses.fields(section):
        name, required = field.name, field.default is dataclasses.MISSING
        if name in values and not (required and values[name] is None):
            made[name] = convert_value(hints[name], values[name], f"{where}.{name}")
        elif required:
            raise ConfigError(
                f"{where}.{name} is missing; add --{where}.{name}=... or set it in the "
                "config file"
            )
    return section(**made)


def check_keys(section: type, keys: Iterable[str], where: str) -> None:
    """Raises ConfigError for a key that is no field of the section."""
    known = [field.name for field in dataclasses.fields(section)]
    for key in keys:
        if key not in known:
            raise ConfigError(f"unknown key {where}.{key}{did_you_mean(key, known)}")


def convert_value(hint: Any, value: Any, where: str) -> Any:
    """Returns a value as the type of its field.

    An int becomes a float, a list a tuple, one number a pair, a mapping a section.

    Args:
      hint: the field's type.
      value: what was given.
      where: what errors call the field.

    Raises:
      ConfigError: it is of another type.
    """
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a section of keys, got {value!r}")
        return from_dict(typing.cast(type, hint), value, where)
    if value is None and hint is not strip_none(hint):
        return None
    hint = strip_none(hint)
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} must be of type {hint.__name__}, got {value!r}")
    return value


def strip_none(hint: Any) -> Any:
    """Returns ``X`` for ``X | None``, and any other type as it is."""
    if isinstance(hint, types.UnionType):
        return next(arg for arg in hint.__args__ if arg is not type(None))
    return hint


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if isinstance(value, int) and args == (int, int):
        value = (value, value)  # a square
    if not isinstance(value, (tuple, list)):
        raise ConfigError(f"{where} must be a tuple, got {value!r}")
    if len(value) == 1 and args == (int, int):
        value = (*value, *value)  # --config.data.image_size=224 arrives as (224,)
    if args[-1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} entries, got {value!r}")
    return tuple(
        convert_value(arg, entry, f"{where}[{i}]")
        for i, (arg, entry) in enumerate(zip(args, value, strict=True))
    )
