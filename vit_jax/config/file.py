"""From a config file and overrides to a typed `Config`: the boundary of the program.

A config file is data (ml_collections): `get_config(arg)` returns a ConfigDict. It is
completed with every default, so that each known key can be overridden, and an unknown
one is an error wherever it stands.
"""

import contextlib
import dataclasses
import inspect
import runpy
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from vit_jax.config import Config
from vit_jax.config.durations import duration_siblings
from vit_jax.errors import ConfigError, did_you_mean


def load_config(spec: str, overrides: Sequence[str] = ()) -> Config:
    """Loads ``FILE[:ARG]`` and applies ``--config.section.key=value`` overrides.

    A file that is not there is looked for among the configs that come with the
    package, so ``--config=digits`` works anywhere.

    Raises:
      ConfigError: no such file, a file without ``get_config``, an unknown key or a
        value of another type, in the file or in an override.
    """
    path, arg = _find(spec)
    with _importable(path.resolve().parent.parent):
        try:
            get_config = runpy.run_path(str(path)).get("get_config")
            if get_config is None:
                raise ConfigError(f"{path} must define get_config(arg=None)")
            if arg and not inspect.signature(get_config).parameters:
                raise ConfigError(f'{path} takes no argument, got "{arg}"; remove it')
            raw = get_config(arg) if arg else get_config()
        except ConfigError:
            raise
        except Exception as error:  # whatever the user's own code does
            kind = type(error).__name__
            reason = (str(error).splitlines() or [""])[0]
            raise ConfigError(f"{path} cannot be loaded: {kind}: {reason}") from error
    if isinstance(raw, config_dict.ConfigDict):
        raw = raw.to_dict()
    if not isinstance(raw, Mapping):
        raise ConfigError(f"get_config in {path} must return a ConfigDict, got {raw!r}")
    values = _complete(Config, raw, "config")
    for key in _override_keys(overrides):
        _clear_siblings(values, key)
    unset = [t for t in overrides if t.startswith("--config.") and t.endswith("=None")]
    for key in _override_keys(unset):
        _clear(values, key)
    typed = [argument for argument in overrides if argument not in unset]
    return from_dict(Config, _override(values, typed))


def _find(spec: str) -> tuple[Path, str | None]:
    drive, rest = (spec[:2], spec[2:]) if spec[1:3] in (":\\", ":/") else ("", spec)
    name, _, arg = rest.partition(":")
    path = Path(drive + name)
    if not path.is_file():
        package = Path(__file__).parent.parent
        folders = [package / "configs", package.parent / "configs"]
        known = sorted(
            p.stem for f in folders for p in f.glob("*.py") if p.stem != "common"
        )
        found = [f / f"{path.stem}.py" for f in folders if path.stem in known]
        found = [
            p for p in found if p.is_file() and path.parent.name in ("", "configs")
        ]
        if not found:
            raise ConfigError(
                f"config file {path} does not exist{did_you_mean(path.stem, known)}"
            )
        path = found[0]
    return path, arg or None


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Lets a config file import its neighbours as ``from configs import common``."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _complete(section: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fills in defaults; None becomes a placeholder, so that a type is known."""
    hints = typing.get_type_hints(section)
    known = {field.name: field for field in dataclasses.fields(section)}
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {where}.{key}{did_you_mean(key, known)}")
    made: dict[str, Any] = {}
    for name, field in known.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            given = values.get(name, {})
            if not isinstance(given, Mapping):
                raise ConfigError(f"{where}.{name} must be a section, got {given!r}")
            made[name] = _complete(typing.cast(type, hint), given, f"{where}.{name}")
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        value = values.get(name, default)
        if value is not None:
            value = _typed(hint, value, f"{where}.{name}")
        base = _without_none(hint)
        if value is None:
            value = config_dict.placeholder(typing.get_origin(base) or base)
        made[name] = value
    return made


def _override_keys(overrides: Sequence[str]) -> list[list[str]]:
    """Returns the path of each override, each step of it known."""
    paths = []
    for argument in overrides:
        if not argument.startswith("--config."):
            continue
        path = argument.removeprefix("--config.").partition("=")[0].split(".")
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
                f"--config.{'.'.join(path)} is a section; set one of its keys"
            )
        paths.append(path)
    return paths


def _clear_siblings(values: dict[str, Any], path: list[str]) -> None:
    """Drops ``total_epochs`` of the file when ``total_steps`` is typed."""
    section: Any = Config
    for key in path[:-1]:
        section = typing.get_type_hints(section)[key]
    for sibling in duration_siblings(section, path[-1]):
        _clear(values, [*path[:-1], sibling])


def _clear(values: dict[str, Any], path: list[str]) -> None:
    """Sets to None what may be; absl would take the None of an override for a word."""
    section: Any = Config
    for key in path[:-1]:
        section, values = typing.get_type_hints(section)[key], values[key]
    hint = typing.get_type_hints(section)[path[-1]]
    base = _without_none(hint)
    if base is hint:
        raise ConfigError(f"config.{'.'.join(path)} must have a value, got None")
    values[path[-1]] = config_dict.placeholder(typing.get_origin(base) or base)


def _override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
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


def from_dict(section: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """Builds a frozen dataclass of sections from nested mappings.

    Raises:
      ConfigError: an unknown or missing key, or a value of another type, with its path.
    """
    hints = typing.get_type_hints(section)
    known = {field.name: field for field in dataclasses.fields(section)}
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {where}.{key}{did_you_mean(key, known)}")
    made = {}
    for name, field in known.items():
        required = field.default is dataclasses.MISSING
        if name in values and not (required and values[name] is None):
            made[name] = _typed(hints[name], values[name], f"{where}.{name}")
        elif required:
            raise ConfigError(
                f"{where}.{name} is missing; add --{where}.{name}=... or set it in the "
                "config file"
            )
    return section(**made)


def _typed(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a section of keys, got {value!r}")
        return from_dict(typing.cast(type, hint), value, where)
    if value is None and hint is not _without_none(hint):
        return None
    hint = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        return _typed_tuple(typing.get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} must be of type {hint.__name__}, got {value!r}")
    return value


def _without_none(hint: Any) -> Any:
    """Returns ``X`` of ``X | None``."""
    if isinstance(hint, types.UnionType):
        return next(arg for arg in hint.__args__ if arg is not type(None))
    return hint


def _typed_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
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
        _typed(arg, entry, f"{where}[{i}]")
        for i, (arg, entry) in enumerate(zip(args, value, strict=True))
    )
