"""Small files of a run in a bucket: written on this machine, then copied."""

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from vit_jax.errors import ConfigError
from vit_jax.storage import bucket

_LOG = logging.getLogger(__name__)

# Seconds between two copies of a file that grows. An object can be replaced once a
# second; each copy costs a request, and a run that is killed loses the lines since the
# last one, which are of updates that no checkpoint holds either.
PERIOD = 10.0


class Mirror:
    """A folder on this machine, copied to a bucket file by file as the files change.

    A bucket cannot append, and its objects are replaced whole: so logs grow here, and
    whoever writes them knows of no bucket. What a killed process had not copied is
    lost. Where the workdir is on this machine, ``folder`` is the workdir itself, and
    nothing is copied.

    Args:
      workdir: of the run.
      names: files that are continued, fetched now if they are there.

    Raises:
      ConfigError: one cannot be fetched.
    """

    def __init__(self, workdir: Path, names: Iterable[str] = ()):
        self.workdir = self.folder = workdir
        self._copied: dict[Path, tuple[int, int]] = {}
        self._failing: set[Path] = set()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        if not bucket.is_bucket(workdir):
            return
        self.folder = Path(tempfile.mkdtemp(prefix="vit_jax-"))
        for name in names:
            try:
                content = (workdir / name).read_bytes()
            except FileNotFoundError:
                continue
            except Exception as error:
                raise ConfigError(
                    f"{workdir / name} cannot be read ({bucket.explain_storage_error(error) or error}); "
                    "repeat the command"
                ) from error
            (self.folder / name).write_bytes(content)
            self._copied[self.folder / name] = _read_version(self.folder / name)

    def start(self) -> None:
        """Copies from now on, in the background."""
        if self.folder != self.workdir:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def copy(self) -> bool:
        """Copies what has changed; returns whether all of it is there now.

        An error is reported once, and the next call tries again: a run does not end
        because of its logs.
        """
        if self.folder == self.workdir:
            return True
        with self._lock:
            files = [file for file in self.folder.rglob("*") if file.is_file()]
            return not [file for file in files if not self._copy(file)]

    def _copy(self, file: Path) -> bool:
        target = self.workdir / file.relative_to(self.folder).as_posix()
        try:
            version = _read_version(
                file
            )  # before it is read: what comes later is a change
            if self._copied.get(file) == version:
                return True
            content = file.read_bytes()
        except FileNotFoundError:
            return True  # a temporary file that has its name by now
        try:
            target.write_bytes(content)
        except Exception as error:  # noqa: BLE001 (gcsfs raises many kinds)
            if file not in self._failing:
                why = bucket.explain_storage_error(error) or error
                _LOG.warning("%s cannot be written now (%s)", target, why)
            self._failing.add(file)
            return False
        self._copied[file] = version
        self._failing.discard(file)
        return True

    def _run(self) -> None:
        while True:
            self.copy()
            if self._ended.wait(PERIOD):
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Copies the rest, and removes the folder unless something stayed behind."""
        if self.folder == self.workdir:
            return
        started = self._thread is not None
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if not started or self.copy():
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            _LOG.warning("what could not be written is in %s", self.folder)


def _read_version(file: Path) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns
