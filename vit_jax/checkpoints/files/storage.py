"""Bytes of a file: read exactly, written completely or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vit_jax.checkpoints.trees import make_printable
from vit_jax.errors import ConfigError


def read_exactly(file: IO[bytes], size: int) -> bytes:
    """Returns the next ``size`` bytes.

    Raises:
        EOFError: there are fewer.
    """
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data


def fill_view(file: Any, view: memoryview | bytes) -> None:
    """Reads until the view is full; one call of ``readinto`` may fill less.

    Raises:
        EOFError: the file ends before.
    """
    while view:
        got = file.readinto(view)
        if not got:
            raise EOFError("it ends too early")
        view = view[got:]


def make_damage_error(path: Path, error: BaseException, name: str = "") -> ConfigError:
    """Returns the error to raise for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"{path} does not exist; check the path")
    if isinstance(error, PermissionError | IsADirectoryError):
        return ConfigError(f"{path} cannot be opened: {error.strerror}; check the path")
    where = f"{path}: {make_printable(name)}" if name else f"{path}"
    reason = make_printable(str(error) or type(error).__name__)
    return ConfigError(
        f"{where} cannot be read: {reason}; check that it is a complete checkpoint"
    )


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file for writing that takes its name only when it is complete.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                yield file
            os.chmod(temporary, 0o666 & ~_read_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}; choose another path"
        ) from error


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
