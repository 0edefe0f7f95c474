"""A folder for downloads that is full, or that may not be written to."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from vit_jax.errors import ConfigError


@contextlib.contextmanager
def report_write_errors(folder: Path, setting: str) -> Iterator[None]:
    """Turns an OSError into a ConfigError that says what to do about the folder.

    Args:
        folder: written to.
        setting: the variable of the environment that names another folder.
    """
    try:
        yield
    except OSError as error:
        room = ""
        with contextlib.suppress(OSError):
            room = f" ({shutil.disk_usage(folder).free >> 20} MiB free)"
        raise ConfigError(
            f"cache {folder} must be a folder that can be written to, got "
            f"{error.strerror or error}{room}; set {setting} to another folder"
        ) from error
