"""Against a real server that refuses, cuts off, corrupts, stalls and redirects."""

import base64
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.weights import server as behave
from tests.weights.server import Server
from vit_jax.errors import ConfigError
from vit_jax.weights.checksums import compute_checksum
from vit_jax.weights.download import download
from vit_jax.weights.web import DownloadError, Limits

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def test_a_file_and_where_it_came_from(server: Server, tmp_path: Path) -> None:
    url = server.add("/w.npz", BODY)
    path = tmp_path / "a" / "w.npz"
    download(url, path)
    assert path.read_bytes() == BODY
    origin = json.loads(path.with_name("w.npz.json").read_text())
    assert origin == {"url": url, "size": len(BODY)}
    assert not list(tmp_path.rglob("*.part*"))
    download(url, path)  # it is there
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told_at_once(
    server: Server, tmp_path: Path, hasty: Limits, status: int
) -> None:
    url = server.add("/w", BODY, behave.refuse(status))
    with pytest.raises(DownloadError, match=f"^{status} [A-Z]"):
        download(url, tmp_path / "w", limits=hasty)
    assert len(server.requests) == 1
    assert not (tmp_path / "w").exists()


def test_a_busy_server_is_asked_again(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.refuse(503))
    with pytest.raises(DownloadError, match="503"):
        download(url, tmp_path / "w", limits=hasty)
    assert len(server.requests) == hasty.tries


def test_a_lost_connection_is_gone_on_with(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.drop_after(100_000, times=2))
    download(url, tmp_path / "w", limits=hasty)
    assert (tmp_path / "w").read_bytes() == BODY
    ranges = [headers.get("Range") for _, headers in server.requests]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_busy_server_does_not_cost_what_arrived(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.drop_after(1_000, times=3))
    with pytest.raises(DownloadError):
        download(url, tmp_path / "w", limits=hasty)
    server.add("/w", BODY, behave.refuse(503))
    with pytest.raises(DownloadError, match="503"):
        download(url, tmp_path / "w", limits=hasty)
    server.add("/w", BODY, behave.serve)
    download(url, tmp_path / "w", limits=hasty)
    assert server.requests[-1][1]["Range"] == "bytes=3000-"


def test_what_arrived_is_kept_for_the_next_time(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.drop_after(1_000, times=3))
    with pytest.raises(DownloadError, match="closed after 3000 of 300000 bytes"):
        download(url, tmp_path / "w", limits=hasty)
    assert (tmp_path / "w.part").stat().st_size == 3_000
    download(url, tmp_path / "w", limits=hasty)
    assert server.requests[-1][1]["Range"] == "bytes=3000-"
    assert (tmp_path / "w").read_bytes() == BODY


def test_a_file_that_changed_is_fetched_from_the_start(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.drop_after(1_000, times=3))
    with pytest.raises(DownloadError):
        download(url, tmp_path / "w", limits=hasty)
    server.add("/w", BODY[::-1])
    download(url, tmp_path / "w", limits=hasty)
    assert (tmp_path / "w").read_bytes() == BODY[::-1]


def test_a_spoilt_part_is_fetched_from_the_start(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    good = behave.with_headers(x_goog_hash=f"md5={md5(BODY)}")
    url = server.add("/w", BODY, behave.drop_after(1_000, times=3))
    with pytest.raises(DownloadError):
        download(url, tmp_path / "w", limits=hasty)
    part = tmp_path / "w.part"
    part.write_bytes(b"?" * part.stat().st_size)
    server.add("/w", BODY, good)
    download(url, tmp_path / "w", limits=hasty)
    assert (tmp_path / "w").read_bytes() == BODY


def test_a_part_that_is_complete_or_too_long(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY)
    validator = {"url": url, "validator": behave.etag(BODY)}
    (tmp_path / "w.part.json").write_text(json.dumps(validator))
    (tmp_path / "w.part").write_bytes(BODY + b"more")
    download(url, tmp_path / "w", limits=hasty)
    assert (tmp_path / "w").read_bytes() == BODY


def test_a_server_without_ranges(server: Server, tmp_path: Path, hasty: Limits) -> None:
    left = [2]

    def cut(handler: behave.Handler, body: bytes) -> None:
        left[0] -= 1
        sent = body if left[0] < 0 else body[:1000]
        behave.answer(handler, sent, 200, {"Content-Length": str(len(body))})
        handler.close_connection = True

    download(server.add("/w", BODY, cut), tmp_path / "w", limits=hasty)
    assert (tmp_path / "w").read_bytes() == BODY


STATED = {
    "md5 of GCS": {"x_goog_hash": f"crc32c=AAAAAA==,md5={md5(BODY)}"},
    "sha256 of the Hub": {"X_Linked_ETag": f'"{SHA256}"'},
    "sha256 as ETag": {"ETag": f'"{SHA256}"'},
}


@pytest.mark.parametrize("headers", STATED.values(), ids=STATED)
def test_the_stated_checksum_is_held(
    server: Server, tmp_path: Path, hasty: Limits, headers: dict[str, str]
) -> None:
    url = server.add("/w", BODY, behave.with_headers(**headers))
    download(url, tmp_path / "good", limits=hasty)
    server.add("/w", BODY[:-1] + b"?")  # the same size
    with pytest.raises(DownloadError, match=r"checksum mismatch: (md5|sha256) is "):
        download(url, tmp_path / "bad", limits=hasty)
    assert not list(tmp_path.glob("bad*"))


def test_crc32c_where_it_is_all_there_is(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    (tmp_path / "body").write_bytes(BODY)
    crc = base64.b64encode(bytes.fromhex(compute_checksum(tmp_path / "body", "crc32c")))
    stated = behave.with_headers(x_goog_hash=f"crc32c={crc.decode()}")
    url = server.add("/w", BODY, stated)
    download(url, tmp_path / "good", limits=hasty)
    server.add("/w", BODY[::-1])
    with pytest.raises(DownloadError, match="checksum mismatch: crc32c"):
        download(url, tmp_path / "bad", limits=hasty)


def test_the_expected_size_and_sha256_are_held(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY)
    with pytest.raises(DownloadError, match="size mismatch: 300000 bytes, expected 7"):
        download(url, tmp_path / "w", size=7, limits=hasty)
    with pytest.raises(DownloadError, match="checksum mismatch: sha256"):
        download(url, tmp_path / "w", sha256="0" * 64, limits=hasty)
    download(url, tmp_path / "w", size=len(BODY), sha256=SHA256, limits=hasty)


def test_a_stall_is_not_waited_for(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.drip)
    with pytest.raises(DownloadError, match=r"stalled: \d+ bytes in 0\.\d s, after"):
        download(url, tmp_path / "w", limits=hasty)


def test_silence_is_not_waited_for(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", BODY, behave.silence)
    with pytest.raises(DownloadError, match=r"timed out after 0\.25 s"):
        download(url, tmp_path / "w", limits=hasty)
    assert len(server.requests) == 1


def test_no_server(tmp_path: Path, hasty: Limits) -> None:
    with Server() as gone:
        gone.shutdown()
        gone.server_close()
        with pytest.raises(DownloadError, match="connection refused"):
            download(gone.url + "/w", tmp_path / "w", limits=hasty)


def test_a_web_page_is_no_file(server: Server, tmp_path: Path, hasty: Limits) -> None:
    page = behave.with_headers(Content_Type="text/html; charset=utf-8")
    url = server.add("/w", b"<html>Log in!</html>", page)
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        download(url, tmp_path / "w", limits=hasty)


def test_a_redirect_keeps_the_checksum_of_the_first_answer(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    """As the Hub does it: the sha256 stands where the file does not."""
    there = server.add("/cdn", BODY)
    url = server.add(
        "/resolve", b"", behave.redirect(there, X_Linked_ETag=f'"{SHA256}"')
    )
    download(url, tmp_path / "w", limits=hasty)
    server.add("/cdn", BODY[::-1])
    with pytest.raises(DownloadError, match="checksum mismatch: sha256"):
        download(url, tmp_path / "x", limits=hasty)


def test_a_redirect_to_http_elsewhere_is_refused(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    url = server.add("/w", b"", behave.redirect("http://example.com/w"))
    with pytest.raises(DownloadError, match=r"which is not https$"):
        download(url, tmp_path / "w", limits=hasty)


def test_the_token_of_the_hub_is_not_sent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    download(server.add("/w", BODY), tmp_path / "w")
    assert "secret" not in str(server.requests)


def test_the_proxy_of_the_environment(
    server: Server, tmp_path: Path, hasty: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("/w", BODY)
    monkeypatch.setenv("http_proxy", server.url)
    download("http://weights.invalid/w", tmp_path / "w", limits=hasty)
    assert server.requests[0][0] == "http://weights.invalid/w"
    assert (tmp_path / "w").read_bytes() == BODY


def test_one_downloads_and_the_others_wait(server: Server, tmp_path: Path) -> None:
    url = server.add("/w", BODY)
    threads = [
        threading.Thread(target=download, args=(url, tmp_path / "w")) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "w").read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_closed_folder(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="set VIT_JAX_CACHE to another folder"):
        download(server.add("/w", BODY), tmp_path / "a" / "w")


def test_a_folder_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ConfigError, match="set VIT_JAX_CACHE to another folder"):
        download(server.add("/w", BODY), tmp_path / "a" / "w")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.part").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match="No space left on device"):
        download(server.add("/w", BODY), tmp_path / "w")
