"""A web server on this machine that gives files, and parts of them."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Handler(BaseHTTPRequestHandler):
    """Serves ``files``; a path in ``failing`` answers 503 as often as its number says."""

    files: ClassVar[dict[str, bytes]] = {}
    failing: ClassVar[dict[str, int]] = {}
    ranges = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        status = 200
        if self.failing.get(self.path, 0) > 0:
            self.failing[self.path] -= 1
            status, body = 503, b""
        elif body is None:
            status, body = 404, b""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and status == 200 and self.ranges:
            start, last = int(asked[1]), int(asked[2])
            status, body = 206, body[start : last + 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(
    files: dict[str, bytes], failing: dict[str, int] | None = None, ranges: bool = True
) -> Iterator[str]:
    """Gives the address under which ``/name`` has the bytes of ``files["/name"]``."""
    content = {"files": files, "failing": failing or {}, "ranges": ranges}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Content", (Handler,), content))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
