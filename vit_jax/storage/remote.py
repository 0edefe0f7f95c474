"""Files behind URLs, through fsspec: asked again where that may help, and errors alike.

What cannot be read is an OSError with the reason in ``strerror`` and the URL in
``filename``, whichever package of fsspec raised what.
"""

import contextlib
import errno
import logging
import time
from collections.abc import Iterator
from typing import Any

from vit_jax.errors import ConfigError

# A request over http that fails for a transient reason is repeated: were an image skipped
# for it, two runs would not see the same data. (Buckets' packages do so.)
_TRIES = 4
_PAUSE_S = 0.5  # doubled after each


def is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


@contextlib.contextmanager
def report_read_errors(url: str) -> Iterator[None]:
    """Turns what a file system raises into an OSError with a reason and a URL."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename == url:
            raise  # it is one of ours
        status, message = getattr(error, "status", ""), getattr(error, "message", "")
        reason = f"{status} {message}".strip() or str(error).partition("\n")[0]
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "not found", url) from error
        raise OSError(errno.EIO, reason or type(error).__name__, url) from error


def ask_file_system(url: str, method: str, **arguments: Any) -> Any:
    """Calls a method of the file system of ``url``, again if that may help."""
    files, path = find_file_system(url)
    tries = _TRIES if is_web(url) else 1
    with report_read_errors(url):
        for attempt in range(tries):
            try:
                return getattr(files, method)(path, **arguments)
            except Exception as error:
                if attempt + 1 == tries or not _is_transient(error):
                    raise
            time.sleep(_PAUSE_S * 2**attempt)


def _is_transient(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if status is not None:
        return status in (408, 429) or status >= 500
    network = type(error).__module__.partition(".")[0] == "aiohttp"
    return network or isinstance(error, (TimeoutError, ConnectionError))


def find_file_system(url: str) -> tuple[Any, str]:
    """Returns this thread's file system, which fsspec keeps, and the path in it."""
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # else it prints tracebacks
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"reading {url} needs fsspec and what it uses there ({error}); "
            "run: pip install 'vit_jax[remote]'"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"a file must be a path or a URL that fsspec knows, got {url} ({error})"
        ) from error
