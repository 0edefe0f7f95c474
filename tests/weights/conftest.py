"""A server on this machine, and an environment without the user's settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.weights.server import Server
from vit_jax.weights import Limits

SETTINGS = (
    "VIT_JAX_WEIGHTS", "VIT_JAX_CACHE", "VIT_JAX_MIRROR", "VIT_JAX_OFFLINE",
    "HF_ENDPOINT", "HF_TOKEN", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    # What the Hub's library reads once, when it is imported.
    settings = {"HF_HUB_CACHE": "hub", "HF_TOKEN_PATH": "token"}
    for name, path in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
        running.shutdown()


@pytest.fixture
def hasty() -> Limits:
    """Gives up in a fraction of a second."""
    return Limits(
        timeout_s=0.25, stall_s=0.25, min_bytes_per_s=1000, tries=3, pause_s=0.01
    )
