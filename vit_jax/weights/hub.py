"""Files of the Hugging Face Hub, through ``huggingface_hub``.

Its cache, token, mirrors and offline switch are those that other tools share: HF_HOME,
HF_HUB_CACHE, HF_TOKEN or ``hf auth login``, HF_ENDPOINT, HF_HUB_OFFLINE. What it does
not do is done here: the content is checked against the sha256 that the Hub states, a
server that does not answer is given up at once, and a failure is one line. It is
imported where it is used: that takes 0.2 s.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vit_jax._version import __version__
from vit_jax.storage.bucket import iterate_causes
from vit_jax.weights.disk import report_write_errors
from vit_jax.weights.locations import parse_hub_url
from vit_jax.weights.record import Location
from vit_jax.weights.web import DownloadError, Limits, explain_failure


def find_in_hub_cache(location: Location, cache: Path | None = None) -> Path | None:
    """Returns a location's file if the Hub's cache has it; asks no server.

    Args:
        location: on the Hub.
        cache: the folder; None: the library's own.
    """
    from huggingface_hub import try_to_load_from_cache

    repo, revision, file = parse_hub_url(location.url)
    try:
        found = try_to_load_from_cache(repo, file, cache, revision)
    except ValueError:  # no repository has such a name
        return None
    return Path(found) if isinstance(found, str) else None


def is_hub_file(location: Location, path: Path) -> bool:
    """Returns whether a path is a location's file in a cache of the Hub.

    That is ``models--OWNER--NAME/snapshots/COMMIT/FILE``, which is documented.
    """
    repo, _, file = parse_hub_url(location.url)
    return path.parts[-4:-2] == (
        f"models--{repo.replace('/', '--')}",
        "snapshots",
    ) and (path.name == file)


def download_from_hub(
    location: Location,
    cache: Path | None = None,
    *,
    progress: bool = True,
    limits: Limits | None = None,
) -> Path:
    """Returns a location's file in the Hub's cache, downloaded if need be.

    Args:
        location: on the Hub.
        cache: the folder; None: the library's own.
        progress: shows a bar, on a terminal.
        limits: of which ``timeout_s`` is that of the first answer. (Between two bytes
            it is HF_HUB_DOWNLOAD_TIMEOUT.)

    Raises:
        DownloadError: the Hub's answer, or what is wrong with the file.
        ConfigError: the cache cannot be written to.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    limits = limits or Limits()
    repo, revision, file = parse_hub_url(location.url)
    endpoint = os.environ.get("HF_ENDPOINT") or None  # also if set after the import
    us: dict[str, Any] = {"library_name": "vit_jax", "library_version": __version__}
    with _report_errors(cache, limits), _show_bars(progress):
        # Asked first: hf_hub_download tries a dead server for half a minute.
        stated = get_hf_file_metadata(
            hf_hub_url(repo, file, revision=revision, endpoint=endpoint),
            timeout=limits.timeout_s,
            endpoint=endpoint,
            **us,
        )
        path = Path(
            hf_hub_download(
                repo,
                file,
                revision=revision,
                cache_dir=cache,
                endpoint=endpoint,
                etag_timeout=limits.timeout_s,
                **us,
            )
        )
    _check(path, location, stated.etag)
    return path


def _check(path: Path, location: Location, etag: str | None) -> None:
    """Removes a file whose size or content is not as stated, and says so."""
    from vit_jax.weights import checksums  # NumPy

    size = path.stat().st_size
    wrong = None
    if location.size not in (None, size):
        wrong = f"size mismatch: {size} bytes, expected {location.size}"
    elif location.sha256:
        wrong = checksums.find_mismatch(path, {"sha256": location.sha256})
    else:  # of a small file the ETag is git's, and no checksum of the content
        stated = checksums.parse_checksums([("ETag", etag or "")])
        wrong = checksums.find_mismatch(path, stated)
    if wrong:
        for each in (path.resolve(), path):  # the content, and the link to it
            each.unlink(missing_ok=True)
        if not wrong.startswith("size"):
            wrong = f"checksum mismatch: {wrong}"
        raise DownloadError(wrong)


@contextlib.contextmanager
def _report_errors(cache: Path | None, limits: Limits) -> Iterator[None]:
    """Turns what the library raises into an answer in one line."""
    from huggingface_hub import constants

    folder = cache or Path(constants.HF_HUB_CACHE)
    with report_write_errors(folder, "HF_HOME"):
        try:
            yield
        except Exception as error:  # of the library, its web client, Xet, Python
            if _is_of_disk(error):
                raise
            raise DownloadError(_explain(error, limits)) from error


def _is_of_disk(error: Exception) -> bool:
    network = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror))
    return isinstance(error, OSError) and error.errno is not None and not network


def _explain(error: Exception, limits: Limits) -> str:
    from huggingface_hub.errors import (
        FileMetadataError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
    )

    for cause in iterate_causes(error):
        if isinstance(cause, HfHubHTTPError):
            return f"{cause.response.status_code} {cause.response.reason_phrase}"
        if isinstance(cause, OfflineModeIsEnabled):
            return "not asked, offline (HF_HUB_OFFLINE)"
        if isinstance(cause, FileMetadataError):
            return "an answer that is not the Hub's (a login, a proxy, HF_ENDPOINT?)"
        if isinstance(cause, (TimeoutError, ConnectionError, socket.gaierror)):
            return explain_failure(cause, limits)
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def _show_bars(progress: bool) -> Iterator[None]:
    """Hides the library's bars, which it shows on a terminal, unless ``progress``."""
    from huggingface_hub import utils

    if progress or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
