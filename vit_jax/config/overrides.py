"""``--config.section.key=value``: typed by the field that it overrides.

absl parses an override by the type of the value that is there. So every default is
filled in first, and None is a placeholder of its type.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from vit_jax.config.durations import list_duration_siblings
from vit_jax.config.run import Config
from vit_jax.config.typed import check_keys, convert_value, strip_none
from vit_jax.errors import ConfigError, did_you_mean

_PREFIX = "--config."


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the whole config, defaults and overrides included.

    Args:
      raw: what the config file gives, nested.
      overrides: ``--config.section.key=value`` each; ``=None`` removes a value, and of
        several for one key the last counts.

    Raises:
      ConfigError: an unknown key, or a value of another type.
    """
    values = _fill_defaults(Config, raw, "config")
    overrides = _keep_last(overrides)
    for path in _parse_paths(overrides):
        _clear_siblings(values, path)
    unset = [t for t in overrides if t.startswith(_PREFIX) and t.endswith("=None")]
    for path in _parse_paths(unset):
        _clear(values, path)
    return _parse_values(values, [t for t in overrides if t not in unset])


def _keep_last(overrides: Sequence[str]) -> list[str]:
    """Returns the last override of each key; absl would join the values of a tuple."""
    last = {
        argument.partition("=")[0]: i
        for i, argument in enumerate(overrides)
        if argument.startswith(_PREFIX) and "=" in argument
    }
    return [
        argument
        for i, argument in enumerate(overrides)
        if last.get(argument.partition("=")[0], i) == i
    ]


def _fill_defaults(
    section: type, values: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Returns a value for every field; a placeholder of its type for None."""
    hints = typing.get_type_hints(section)
    check_keys(section, values, where)
    made: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        name, hint = field.name, hints[field.name]
        if dataclasses.is_dataclass(hint):
            given = values.get(name, {})
            if not isinstance(given, Mapping):
                raise ConfigError(f"{where}.{name} must be a section, got {given!r}")
            section_type = typing.cast(type, hint)
            made[name] = _fill_defaults(section_type, given, f"{where}.{name}")
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        value = values.get(name, default)
        made[name] = (
            _make_placeholder(hint)
            if value is None
            else convert_value(hint, value, f"{where}.{name}")
        )
    return made


def _make_placeholder(hint: Any) -> Any:
    """Returns None with a type, as ml_collections has it."""
    base = strip_none(hint)
    return config_dict.placeholder(typing.get_origin(base) or base)


def _parse_paths(overrides: Sequence[str]) -> list[list[str]]:
    """Returns the path of each override: ``["optim", "name"]``.

    Raises:
      ConfigError: an unknown key, or a section.
    """
    paths = []
    for argument in overrides:
        if not argument.startswith(_PREFIX):
            continue
        path = argument.removeprefix(_PREFIX).partition("=")[0].split(".")
        section: Any = Config
        for depth, key in enumerate(path):
            known = typing.get_type_hints(section) if section else {}
            if key not in known:
                where = ".".join(["config", *path[:depth]])
                raise ConfigError(
                    f"unknown key {where}.{key}{did_you_mean(key, known)}"
                )
            section = known[key] if dataclasses.is_dataclass(known[key]) else None
        if section is not None:
            raise ConfigError(
                f"{_PREFIX}{'.'.join(path)} is a section; set one of its keys"
            )
        paths.append(path)
    return paths


def _clear_siblings(values: dict[str, Any], path: list[str]) -> None:
    """Clears ``total_epochs`` of the file when ``total_steps`` is overridden."""
    section: Any = Config
    for key in path[:-1]:
        section = typing.get_type_hints(section)[key]
    for sibling in list_duration_siblings(section, path[-1]):
        _clear(values, [*path[:-1], sibling])


def _clear(values: dict[str, Any], path: list[str]) -> None:
    """Sets an optional value to None; absl would read an override's None as a word."""
    section: Any = Config
    for key in path[:-1]:
        section, values = typing.get_type_hints(section)[key], values[key]
    hint = typing.get_type_hints(section)[path[-1]]
    if strip_none(hint) is hint:
        raise ConfigError(f"config.{'.'.join(path)} must have a value, got None")
    values[path[-1]] = _make_placeholder(hint)


def _parse_values(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    argv = ["vit-jax", *overrides]
    parsed = flags.FlagValues()
    config = config_dict.ConfigDict(values)
    config_flags.DEFINE_config_dict("config", config, flag_values=parsed, sys_argv=argv)
    try:
        rest = parsed(argv)[1:]
    except (flags.Error, ValueError) as error:
        raise ConfigError(str(error).removeprefix("flag ")) from error
    if rest:
        raise ConfigError(
            f"unrecognised argument {rest[0]}; overrides look like "
            "--config.train.total_epochs=10"
        )
    return config.to_dict()  # the flags wrote into it
