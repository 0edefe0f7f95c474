"""A web server on this machine that answers well, badly, or not at all."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Behaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files``; a path's behaviour decides how."""

    protocol_version = "HTTP/1.1"
    server: "Server"  # pyright: ignore[reportIncompatibleVariableOverride]
    NOT_FOUND: ClassVar[bytes] = b"<html>nothing here</html>"

    def do_HEAD(self) -> None:
        self.server.heads.append((self.path, dict(self.headers.items())))
        self._answer()

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers.items())))
        self._answer()

    def _answer(self) -> None:
        path = re.sub(r"^http://[^/]+", "", self.path)  # as a proxy is asked
        body = self.server.files.get(path)
        if body is None:
            answer(self, self.NOT_FOUND, 404, {"Content-Type": "text/html"})
        else:
            self.server.behaviour.get(path, serve)(self, body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Runs in a thread until it is closed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, Behaviour] = {}
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, path: str, body: bytes, behaviour: Behaviour | None = None) -> str:
        """Serves a file; returns its URL."""
        self.files[path] = body
        if behaviour:
            self.behaviour[path] = behaviour
        return self.url + path

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up on purpose


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def answer(
    handler: Handler, body: bytes, status: int, headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if "Content-Length" not in (headers or {}):
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def serve(handler: Handler, body: bytes, **headers: str) -> None:
    """The whole file, or the range asked for if it is still the same."""
    head = {"ETag": etag(body)} | {k.replace("_", "-"): v for k, v in headers.items()}
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked and handler.headers.get("If-Range", head["ETag"]) == head["ETag"]:
        start = int(asked[1])
        if start >= len(body):
            answer(handler, b"", 416)
            return
        head["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        answer(handler, body[start:], 206, head)
    else:
        answer(handler, body, 200, head)


COMMIT = "c" * 40


def serve_as_hub(handler: Handler, body: bytes, **headers: str) -> None:
    """As the Hub answers for a large file: the ETag is the sha256 of the content."""
    sha256 = f'"{hashlib.sha256(body).hexdigest()}"'
    stated = {"X_Linked_Etag": sha256, "X_Linked_Size": str(len(body))}
    serve(
        handler, body, **({"ETag": sha256, "X_Repo_Commit": COMMIT} | stated | headers)
    )


def as_hub(**headers: str) -> Behaviour:
    return lambda handler, body: serve_as_hub(handler, body, **headers)


def refuse(status: int, **headers: str) -> Behaviour:
    head = {k.replace("_", "-"): v for k, v in headers.items()}
    return lambda handler, body: answer(handler, b"<Error/>", status, head)


def with_headers(**headers: str) -> Behaviour:
    return lambda handler, body: serve(handler, body, **headers)


def redirect(location: str, **headers: str) -> Behaviour:
    head = {k.replace("_", "-"): v for k, v in headers.items()}
    return lambda handler, body: answer(
        handler, b"", 302, {"Location": location, **head}
    )


def drop_after(num_bytes: int, times: int = 1) -> Behaviour:
    """Promises everything, sends so much, and hangs up; well-behaved afterwards."""
    left = [times]

    def behave(handler: Handler, body: bytes) -> None:
        if left[0] == 0:
            serve(handler, body)
            return
        left[0] -= 1
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        head = {"ETag": etag(body), "Content-Length": str(len(body) - start)}
        if start:
            head["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        answer(handler, body[start : start + num_bytes], 206 if start else 200, head)
        handler.close_connection = True

    return behave


def drip(handler: Handler, body: bytes) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for byte in body:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def silence(handler: Handler, body: bytes) -> None:
    """Accepts, and says nothing."""
    time.sleep(0.6)
    handler.close_connection = True
