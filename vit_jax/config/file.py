"""From a config file and overrides to a typed `Config`: the boundary of the program.

A config file is data (ml_collections): `get_config(arg)` returns a ConfigDict. Every
known key can be overridden, and an unknown one is an error wherever it stands.
"""

import contextlib
import inspect
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from vit_jax.config.overrides import apply_overrides
from vit_jax.config.run import Config
from vit_jax.config.typed import from_dict
from vit_jax.errors import ConfigError, did_you_mean


def load_config(spec: str, overrides: Sequence[str] = ()) -> Config:
    """Loads ``FILE[:ARG]`` and applies ``--config.section.key=value`` overrides.

    A file that does not exist is looked for among the configs that come with the
    package, so ``--config=digits`` works anywhere.

    Raises:
      ConfigError: no such file, a file without ``get_config``, an unknown key or a
        value of another type, in the file or in an override.
    """
    return from_dict(Config, apply_overrides(_run_file(*_find(spec)), overrides))


def _find(spec: str) -> tuple[Path, str | None]:
    """Returns the file of ``FILE[:ARG]``, and the argument."""
    drive, rest = (spec[:2], spec[2:]) if spec[1:3] in (":\\", ":/") else ("", spec)
    name, _, arg = rest.partition(":")
    path = Path(drive + name)
    if path.is_file():
        return path, arg or None
    package = Path(__file__).parent.parent
    folders = [package / "configs", package.parent / "configs"]
    known = sorted(
        p.stem for f in folders for p in f.glob("*.py") if p.stem != "common"
    )
    for folder in folders:
        packaged = folder / f"{path.stem}.py"
        is_named = path.stem in known and path.parent.name in ("", "configs")
        if is_named and packaged.is_file():
            return packaged, arg or None
    raise ConfigError(
        f"config file {path} does not exist{did_you_mean(path.stem, known)}"
    )


def _run_file(path: Path, arg: str | None) -> Mapping[str, Any]:
    """Returns what the file's ``get_config`` does, as nested dictionaries."""
    with _allow_imports(path.resolve().parent.parent):
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
    return raw


@contextlib.contextmanager
def _allow_imports(folder: Path) -> Iterator[None]:
    """Lets a config file import its neighbours as ``from configs import common``."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
