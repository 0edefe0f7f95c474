"""Google Cloud Storage as the tests need it: its JSON API on a port of this machine.

Objects live in memory. What gcsfs, google-cloud-storage and TensorStore ask is answered
as https://cloud.google.com/storage/docs/json_api says: uploads in one request and in
several, ranges, listings with prefix, delimiter and pages, deletion, and the
preconditions of a write.
"""

import contextlib
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PAGE = 3  # results of a listing at once: few, so that every test turns pages
_PATH = re.compile(r"(?:/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?")


class Storage(ThreadingHTTPServer):
    """The server, and what it holds.

    Attributes:
      objects: of each bucket: name -> (content, generation).
      requests: method and path of each request so far.
      refuse: called with method and object; a status in place of an answer, or None.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *buckets: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, dict[str, tuple[bytes, int]]] = {b: {} for b in buckets}
        self.lock = threading.Lock()
        self.generation = 0
        self.sessions: dict[str, tuple[str, str, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        self.refuse: Any = lambda method, name: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes the libraries of a process come here, and ask nobody else."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "NO_GCE_CHECK": "true",
            "GCE_METADATA_ROOT": "127.0.0.1:9",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }

    def handle_error(self, *_: Any) -> None:
        """A client that has its answer from elsewhere hangs up."""

    def names(self, prefix: str = "", bucket: str = "bucket") -> list[str]:
        return sorted(n for n in list(self.objects[bucket]) if n.startswith(prefix))

    def text(self, name: str, bucket: str = "bucket") -> str:
        return self.objects[bucket][name][0].decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Storage  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, status: int, value: Any = None, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value or {}).encode()
        kind = "octet-stream" if isinstance(value, bytes) else "json"
        self.send_response(status)
        self.send_header("Content-Type", f"application/{kind}")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, status: int, why: str) -> None:
        self._answer(status, {"error": {"code": status, "message": why}})

    def _handle(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = _PATH.fullmatch(url.path)
        bucket, name = (
            unquote(p or "") for p in (found.groups() if found else ("", ""))
        )
        self.server.requests.append((self.command, self.path))
        if bucket not in self.server.objects:
            return self._fail(404, "The specified bucket does not exist.")
        status = self.server.refuse(
            self.command, name or query.get("name") or query.get("prefix", "")
        )
        if status:
            return self._fail(status, "refused")
        with self.server.lock:
            if url.path.startswith("/upload"):
                return self._upload(bucket, query, body)
            if self.command == "DELETE":
                return self._delete(bucket, name, query)
            if name:
                return self._get(bucket, name, query)
            if url.path.endswith("/o"):
                return self._list(bucket, query)
        return self._answer(200, {"kind": "storage#bucket", "name": bucket})

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _resource(self, bucket: str, name: str) -> dict[str, Any]:
        content, generation = self.server.objects[bucket][name]
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(content)),
            "generation": str(generation),
            "metageneration": "1",
            "md5Hash": b64encode(md5(content).digest()).decode(),
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "updated": "2026-01-01T00:00:00.000Z",
        }

    def _fits(self, bucket: str, name: str, query: dict[str, str]) -> bool:
        """Returns whether the object is of the generation that the request asks for."""
        wanted = query.get("ifGenerationMatch")
        held = self.server.objects[bucket].get(name, (b"", 0))[1]
        return wanted is None or int(wanted) == held

    def _put(self, bucket: str, name: str, body: bytes, query: dict[str, str]) -> None:
        if not self._fits(bucket, name, query):
            return self._fail(412, "conditionNotMet")
        self.server.generation += 1
        self.server.objects[bucket][name] = (body, self.server.generation)
        return self._answer(200, self._resource(bucket, name))

    def _upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        if "upload_id" in query:
            return self._resume(query, body)
        if query["uploadType"] == "resumable":
            name = query.get("name") or json.loads(body)["name"]
            key = str(len(self.server.sessions))
            self.server.sessions[key] = (bucket, name, b"")
            to = f"{self.server.url}/upload/storage/v1/b/{bucket}/o?upload_id={key}"
            return self._answer(200, Location=to)
        if query["uploadType"] == "multipart":
            boundary = re.search('boundary="?([^"]+)"?', self.headers["Content-Type"])
            assert boundary is not None
            _, about, content, _ = body.split(b"--" + boundary[1].encode(), 3)
            parts = [
                re.split(b"\r?\n\r?\n", p, maxsplit=1)[1] for p in (about, content)
            ]
            query["name"] = json.loads(parts[0])["name"]
            body = re.sub(b"\r?\n$", b"", parts[1])
        return self._put(bucket, query["name"], body, query)

    def _resume(self, query: dict[str, str], body: bytes) -> None:
        bucket, name, before = self.server.sessions[query["upload_id"]]
        content = before + body
        self.server.sessions[query["upload_id"]] = (bucket, name, content)
        total = self.headers.get("Content-Range", "/*").rpartition("/")[2]
        if total != "*" and len(content) == int(total):
            return self._put(bucket, name, content, query)
        return self._answer(308, Range=f"bytes=0-{len(content) - 1}")

    def _get(self, bucket: str, name: str, query: dict[str, str]) -> None:
        if name not in self.server.objects[bucket]:
            return self._fail(404, f"No such object: {bucket}/{name}")
        content, generation = self.server.objects[bucket][name]
        if query.get("ifGenerationNotMatch") == str(generation):
            return self._answer(304, b"")  # which has no body
        if not self._fits(bucket, name, query):
            return self._fail(412, "conditionNotMet")
        if query.get("alt") != "media":
            return self._answer(200, self._resource(bucket, name))
        about = {"x_goog_generation": str(generation)}
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if span is None:
            return self._answer(200, content, **about)
        size = len(content)
        start = int(span[1]) if span[1] else size - int(span[2])
        stop = min(int(span[2]) + 1 if span[1] and span[2] else size, size)
        if start >= size:
            return self._fail(416, "range")
        about["Content_Range"] = f"bytes {start}-{stop - 1}/{size}"
        return self._answer(206, content[start:stop], **about)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        low, high = query.get("startOffset", ""), query.get("endOffset")
        found: dict[str, bool] = {}  # name -> is it a prefix
        for name in self.server.names(prefix, bucket):
            if name < low or (high is not None and name >= high):
                continue
            head, cut, _ = name[len(prefix) :].partition(delimiter or "\0")
            found[prefix + head + cut if cut else name] = bool(cut)
        names = [n for n in found if n > query.get("pageToken", "")]
        size = min(PAGE, int(query.get("maxResults", PAGE)))
        page, rest = names[:size], names[size:]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        answer["items"] = [self._resource(bucket, n) for n in page if not found[n]]
        answer["prefixes"] = [n for n in page if found[n]]
        if rest:
            answer["nextPageToken"] = page[-1]
        return self._answer(200, answer)

    def _delete(self, bucket: str, name: str, query: dict[str, str]) -> None:
        if name not in self.server.objects[bucket]:
            return self._fail(404, f"No such object: {bucket}/{name}")
        if not self._fits(bucket, name, query):
            return self._fail(412, "conditionNotMet")
        del self.server.objects[bucket][name]
        return self._answer(204, b"")


@contextlib.contextmanager
def storage(*buckets: str) -> Iterator[Storage]:
    """Serves buckets until the context ends."""
    server = Storage(*buckets or ("bucket",))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
