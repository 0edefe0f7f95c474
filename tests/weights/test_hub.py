"""Files of the Hub by its own library, against a server that imitates the Hub."""

import hashlib
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from tests.weights import server as behave
from tests.weights.server import Server
from vit_jax.errors import ConfigError
from vit_jax.weights import Limits, Location
from vit_jax.weights.hub import download_from_hub, find_in_hub_cache, is_hub_file
from vit_jax.weights.web import DownloadError

BODY = np.random.default_rng(0).bytes(300_000)
FILE = Location("hf://me/mine/w.npz")
PATH = "/me/mine/resolve/main/w.npz"


@pytest.fixture(autouse=True)
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)


def failure(hasty: Limits, location: Location = FILE) -> str:
    with pytest.raises(DownloadError) as caught:
        download_from_hub(location, limits=hasty)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_goes_to_the_cache_that_other_tools_share(
    server: Server, tmp_path: Path
) -> None:
    server.add(PATH, BODY, behave.serve_as_hub)
    assert find_in_hub_cache(FILE) is None
    path = download_from_hub(FILE)
    assert path.read_bytes() == BODY
    assert path.is_relative_to(tmp_path / "hub")
    assert is_hub_file(FILE, path)
    assert find_in_hub_cache(FILE) == path
    assert huggingface_hub.try_to_load_from_cache("me/mine", "w.npz") == str(path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "words"), [(401, "Unauthorized"), (404, "Not Fo")])
def test_a_refusal_is_reported_at_once(
    server: Server, hasty: Limits, status: int, words: str
) -> None:
    server.add(PATH, BODY, behave.refuse(status))
    assert failure(hasty).startswith(f"{status} {words}")
    assert len(server.heads) == 1
    assert not server.requests


def test_a_repository_that_asks_for_consent(server: Server, hasty: Limits) -> None:
    server.add(PATH, BODY, behave.refuse(403, X_Error_Code="GatedRepo"))
    assert failure(hasty) == "403 Forbidden"


@pytest.mark.parametrize("stated", ["table", "hub"])
def test_the_content_is_checked_against_the_sha256(
    server: Server, hasty: Limits, stated: str
) -> None:
    """The library checks the size alone."""
    headers = {"X_Linked_Etag": f'"{"0" * 64}"'} if stated == "hub" else {}
    server.add(PATH, BODY, behave.as_hub(**headers))
    location = FILE if stated == "hub" else Location(FILE.url, sha256="0" * 64)
    assert failure(hasty, location).startswith("checksum mismatch: sha256 is ")
    assert find_in_hub_cache(FILE) is None
    server.add(PATH, BODY, behave.serve_as_hub)
    sha256 = hashlib.sha256(BODY).hexdigest()
    good = Location(FILE.url, size=len(BODY), sha256=sha256)
    assert download_from_hub(good, limits=hasty).read_bytes() == BODY


def test_the_expected_size(server: Server, hasty: Limits) -> None:
    server.add(PATH, BODY, behave.serve_as_hub)
    message = failure(hasty, Location(FILE.url, size=7))
    assert message == "size mismatch: 300000 bytes, expected 7"


def test_a_small_file_has_no_checksum_of_its_content(server: Server) -> None:
    """Its ETag is the 40 digits of git."""
    server.add(PATH, BODY, behave.as_hub(X_Linked_Etag=f'"{"a" * 40}"'))
    assert download_from_hub(FILE).read_bytes() == BODY


def test_the_content_may_come_from_another_server(server: Server) -> None:
    there = server.add("/cdn", BODY).replace("127.0.0.1", "localhost")
    server.add(
        PATH,
        b"",
        behave.redirect(
            there,
            X_Repo_Commit=behave.COMMIT,
            X_Linked_Etag=f'"{hashlib.sha256(BODY).hexdigest()}"',
            X_Linked_Size=str(len(BODY)),
        ),
    )
    assert download_from_hub(FILE).read_bytes() == BODY


def test_a_lost_connection_is_tried_again(server: Server) -> None:
    """The library resumes where it lost the connection, in steps of 10 MB."""
    dropped = behave.drop_after(100_000)

    def behaviour(handler: behave.Handler, body: bytes) -> None:
        is_head = handler.command == "HEAD"
        (behave.serve_as_hub if is_head else dropped)(handler, body)

    server.add(PATH, BODY, behaviour)
    assert download_from_hub(FILE).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_server_that_is_no_hub(server: Server, hasty: Limits) -> None:
    server.add(PATH, b"<html>Log in!</html>")
    assert "an answer that is not the Hub's" in failure(hasty)


def test_silence_is_not_waited_for(server: Server, hasty: Limits) -> None:
    server.add(PATH, BODY, behave.silence)
    assert "timed out after 0.25 s" in failure(hasty)
    assert len(server.heads) == 1


def test_no_server(hasty: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as gone:
        gone.shutdown()
        gone.server_close()
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
        assert failure(hasty) == "connection refused"


def test_the_offline_switch_of_the_hub(
    server: Server, hasty: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(PATH, BODY, behave.serve_as_hub)
    path = download_from_hub(FILE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_in_hub_cache(FILE) == path
    assert failure(hasty, Location("hf://me/other/w.npz")) == (
        "not asked, offline (HF_HUB_OFFLINE)"
    )
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_written_to(
    server: Server, tmp_path: Path, hasty: Limits
) -> None:
    server.add(PATH, BODY, behave.serve_as_hub)
    (tmp_path / "hub").write_text("")
    with pytest.raises(ConfigError, match="set HF_HOME to another folder"):
        download_from_hub(FILE, limits=hasty)


def test_a_name_that_no_repository_may_have(hasty: Limits) -> None:
    location = Location("hf://me/a--b/w.npz")
    assert find_in_hub_cache(location) is None
    assert "a--b" in failure(hasty, location)


@pytest.mark.parametrize("progress", [True, False])
def test_bars_stay_as_they_were(server: Server, progress: bool) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled

    server.add(PATH, BODY, behave.serve_as_hub)
    download_from_hub(FILE, progress=progress)
    assert not are_progress_bars_disabled()
