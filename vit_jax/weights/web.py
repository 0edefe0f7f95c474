"""One request: redirects, certificates, and answers in words.

The standard library's urllib does the work: it takes proxies from the environment
(HTTPS_PROXY, NO_PROXY) and certificates from the system, and needs nothing installed.
"""

import contextlib
import dataclasses
import functools
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TRANSIENT = (408, 429, 500, 502, 503, 504)


class DownloadError(Exception):
    """A server did not give the file; the message is its answer, without the URL."""


class Lost(Exception):
    """A transfer that may succeed if it is tried again, perhaps only from the start."""

    def __init__(self, message: str, from_start: bool = False) -> None:
        super().__init__(message)
        self.from_start = from_start


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to give up on a server.

    Attributes:
        timeout_s: without an answer, or a single byte.
        stall_s: a window in which ``min_bytes_per_s`` must be reached on average.
        tries: in a row that received next to nothing.
        pause_s: after the first of them; doubled after each.
    """

    timeout_s: float = 30.0
    stall_s: float = 60.0
    min_bytes_per_s: float = 1024.0
    tries: int = 5
    pause_s: float = 1.0


class Answer(NamedTuple):
    """A file, or the missing rest of it, ready to be read."""

    response: http.client.HTTPResponse
    headers: list[tuple[str, str]]  # of every redirect, too
    offset: int  # at which the body starts, in bytes
    total: int | None  # size of the whole file, in bytes


def request_file(
    url: str, *, offset: int, validator: str | None, limits: Limits
) -> Answer:
    """Requests a file from ``offset`` on, if ``validator`` says that it is the same.

    Args:
        url: of the file.
        offset: bytes that are here already.
        validator: ETag or date of what is here; None: the whole file is requested.
        limits: of which ``timeout_s`` is used.

    Raises:
        DownloadError: a refusal.
        Lost: a refusal that may pass.
    """
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    request.add_header("User-Agent", "vit_jax")
    if offset and validator:
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("If-Range", validator)
    try:
        response = _make_opener().open(request, timeout=limits.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"{error.code} {error.reason}"
        if error.code == 416 and offset:  # Range Not Satisfiable
            raise Lost(message, from_start=True) from error
        raise (Lost if error.code in _TRANSIENT else DownloadError)(message) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(explain_failure(error, limits)) from error
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise DownloadError("a web page instead of the file (a login, a proxy?)")
    return _read_answer(response)


def explain_failure(error: BaseException, limits: Limits) -> str:
    """Returns in a few words why a connection failed."""
    inner = getattr(error, "reason", None)
    if isinstance(error, urllib.error.URLError) and isinstance(inner, BaseException):
        return explain_failure(inner, limits)
    if isinstance(error, TimeoutError):
        text = str(error)
        if text.startswith("stalled"):
            return text
        return f"timed out after {limits.timeout_s:g} s without a byte"
    if isinstance(error, socket.gaierror):
        return "no such host (is there a network?)"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "connection lost"
    return str(inner or error) or type(error).__name__


def _read_answer(response: Any) -> Answer:
    offset, total = 0, None
    headers = [*response.redirect_headers, *response.headers.items()]
    if response.status == 206:
        text = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
        if match is None:
            raise DownloadError(f"an unreadable Content-Range, {text!r}")
        offset = int(match[1])
        total = None if match[2] == "*" else int(match[2])
    elif (length := response.headers.get("Content-Length", "")).isdecimal():
        total = int(length)
    return Answer(response, headers, offset, total)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https alone, and keeps the headers of each answer on the way.

    A server that redirects may state the checksum there.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = urlsplit(newurl)
        if new.scheme != "https" and not _is_this_machine(new.hostname):
            raise urllib.error.URLError(f"redirected to {newurl}, which is not https")
        request: Any = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            seen = getattr(req, "redirect_headers", [])
            request.redirect_headers = [*seen, *headers.items()]
        return request

    def http_response(self, request: Any, response: Any) -> Any:
        response.redirect_headers = getattr(request, "redirect_headers", [])
        return response

    https_response = http_response


def _make_opener() -> urllib.request.OpenerDirector:
    # Not cached: it reads the proxies of the environment when it is made.
    handler = urllib.request.HTTPSHandler(context=_load_certificates())
    return urllib.request.build_opener(_Redirects, handler)


@functools.cache
def _load_certificates() -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    context = ssl.create_default_context()
    if not (paths.cafile or paths.capath):  # Python from python.org on macOS
        with contextlib.suppress(ImportError):
            import certifi  # pyright: ignore[reportMissingImports]

            context.load_verify_locations(certifi.where())
    return context


def _is_this_machine(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")
