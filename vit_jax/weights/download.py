"""One URL to one file: resumed where it broke off, checked, moved to its path.

This is own code because gs:// and https:// have no library that does it: the Hub's
serves its own files alone, and fsspec's HTTP does not resume.
"""

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vit_jax.weights.disk import report_write_errors
from vit_jax.weights.web import (
    Answer,
    DownloadError,
    Limits,
    Lost,
    explain_failure,
    request_file,
)

_CHUNK = 1 << 18
_ENOUGH = 1 << 20  # bytes after which a broken transfer counts as the first again


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: bool = True,
    limits: Limits | None = None,
) -> None:
    """Downloads a file unless it is there.

    An incomplete download stays beside the file as ``.part`` and is resumed the next
    time, if the server says that the file is still the same (If-Range). Of several
    processes one downloads and the others wait. A ``.json`` beside the file records
    where it came from.

    Args:
        url: https; http only to this machine or as a mirror that the user named.
        path: appears only when complete and checked.
        sha256: expected; else what the server states is (`checksums.parse_checksums`).
        size: expected, in bytes.
        progress: shows a bar, on a terminal.
        limits: when to give up.

    Raises:
        DownloadError: the server's answer.
        ConfigError: the folder cannot be written to.
    """
    limits = limits or Limits()
    with report_write_errors(path.parent, "VIT_JAX_CACHE"), _lock(path) as alone:
        if path.exists():
            return
        own = "" if alone else f"{os.getpid()}."
        part = path.with_name(f"{path.name}.{own}part")
        while True:
            answer = _fetch(url, part, progress, limits)
            wrong = _check(part, answer, sha256, size)
            if not wrong:
                break
            _remove(part)
            if not answer.offset:  # else the old part is to blame: from the start
                raise DownloadError(wrong)
        origin = {"url": url, "size": part.stat().st_size}
        path.with_name(f"{path.name}.json").write_text(json.dumps(origin))
        os.replace(part, path)
        _remove(part)


def _fetch(url: str, part: Path, progress: bool, limits: Limits) -> Answer:
    """Completes ``part``, in as many transfers as it takes."""
    failures = 0
    while True:
        before = _get_size(part)
        validator = _read_validator(part, url)
        offset = before if validator else 0
        try:
            answer = request_file(
                url, offset=offset, validator=validator, limits=limits
            )
            with answer.response:
                if answer.offset not in (0, offset):
                    text = f"sent from byte {answer.offset}, not {offset}"
                    raise Lost(text, from_start=True)
                _write_validator(part, url, answer)
                _transfer(answer, part, progress, limits)
            return answer
        except Lost as error:
            received = _get_size(part) - before
            if error.from_start:
                _remove(part)
            failures = 1 if received >= _ENOUGH else failures + 1
            if failures >= limits.tries:
                raise DownloadError(str(error)) from error
            time.sleep(limits.pause_s * 2 ** (failures - 1))


def _transfer(answer: Answer, part: Path, progress: bool, limits: Limits) -> None:
    """Appends the body to ``part``."""
    with (
        part.open("r+b" if answer.offset else "wb") as file,
        _show_bar(part.name.removesuffix(".part"), answer, progress) as bar,
    ):
        if answer.offset:
            file.seek(answer.offset)
            file.truncate()
        try:
            _copy(answer.response, file, bar, limits)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "filename", None):  # of the file, not of the network
                raise
            if file.tell() == answer.offset:
                raise DownloadError(explain_failure(error, limits)) from error
            text = f"{explain_failure(error, limits)}, after {file.tell()} bytes"
            raise Lost(text) from error
        received = file.tell()
    if answer.total is not None and received < answer.total:
        raise Lost(f"connection closed after {received} of {answer.total} bytes")


def _copy(source: Any, file: BinaryIO, bar: Any, limits: Limits) -> None:
    start, in_window = time.monotonic(), 0
    while chunk := source.read1(_CHUNK):
        try:
            file.write(chunk)
        except OSError as error:
            error.filename = file.name
            raise
        bar.update(len(chunk))
        in_window += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed >= limits.stall_s:
            if in_window < limits.min_bytes_per_s * elapsed:
                raise TimeoutError(f"stalled: {in_window} bytes in {elapsed:.1f} s")
            start, in_window = time.monotonic(), 0


def _check(
    part: Path, answer: Answer, sha256: str | None, size: int | None
) -> str | None:
    """Returns what is wrong with a complete file, or None."""
    from vit_jax.weights import checksums  # NumPy

    got = _get_size(part)
    for expected in (size, answer.total):
        if expected is not None and got != expected:
            return f"size mismatch: {got} bytes, expected {expected}"
    stated = {"sha256": sha256} if sha256 else checksums.parse_checksums(answer.headers)
    wrong = checksums.find_mismatch(part, stated)
    return f"checksum mismatch: {wrong}" if wrong else None


def _read_validator(part: Path, url: str) -> str | None:
    """Returns the ETag or date that identifies the file on the server."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_get_validator_path(part).read_text())
        if part.exists() and known["url"] == url:
            return known["validator"]
    return None


def _write_validator(part: Path, url: str, answer: Answer) -> None:
    headers = answer.response.headers
    etag = headers.get("ETag", "")
    strong = etag if etag.startswith('"') else None  # W/"..." may not go with a range
    validator = strong or headers.get("Last-Modified")
    _get_validator_path(part).write_text(
        json.dumps({"url": url, "validator": validator})
    )


def _get_validator_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _get_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _get_validator_path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _show_bar(name: str, answer: Answer, progress: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(
        desc=name,
        total=answer.total,
        initial=answer.offset,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None if progress else True,  # None: unless on a terminal
        file=sys.stderr,
    ) as bar:
        yield bar


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Makes the folder, and waits for other processes; False where the file system knows no locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):  # Windows; some network file systems
            yield False
        else:
            yield True  # closing the file releases it, as does the end of the process
