"""Images that cannot be read: skipped, counted and named, up to a number."""

import threading
from pathlib import Path

from absl import logging

from vit_jax.errors import ConfigError


class BadFiles:
    """What could not be read so far; any number of threads may add to it.

    Args:
      path: a text file that gets a line "name<TAB>reason" for each, at once. Names in
        it already (of the run that this one continues) are known. None: no file.
      limit: how many are tolerated.
    """

    def __init__(self, path: Path | None = None, limit: int = 100) -> None:
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        self.reasons: dict[str, str] = {}
        self._read()

    def __len__(self) -> int:
        self._read()  # worker processes write to the same file
        return len(self.reasons)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _read(self) -> None:
        if self._path and self._path.exists():
            lines = self._path.read_text(
                encoding="utf-8", errors="surrogateescape"
            ).splitlines()
            for name, _, reason in (line.partition("\t") for line in lines):
                self.reasons.setdefault(name, reason)

    def add(self, name: str, reason: str) -> None:
        """Notes an image; the same one counts once.

        Raises:
          ConfigError: there are more than ``limit``.
        """
        with self._lock:
            if name not in self.reasons:
                self._read()
            if name not in self.reasons:
                self.reasons[name] = reason
                logging.warning("skipped: %s", reason)
                if self._path:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    with self._path.open(
                        "a", encoding="utf-8", errors="surrogateescape"
                    ) as file:
                        file.write(f"{name}\t{reason}\n")
            if len(self.reasons) > self._limit:
                where = f"{self._path.name} in the workdir" if self._path else name
                raise ConfigError(
                    f"unreadable images must be at most {self._limit}, got "
                    f"{len(self.reasons)} "
                    f"(see {where}); fix them or raise --config.data.max_bad_files"
                )
