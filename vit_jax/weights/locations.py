"""Addresses of a file with weights: URLs, and its path in a folder or the cache."""

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from vit_jax.errors import ConfigError
from vit_jax.weights.record import Location

_GCS = "https://storage.googleapis.com"
_HUGGING_FACE = "https://huggingface.co"
_HUB_URL = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^?]+?))?/(?P<file>[\w.-]+)"
)


class HubFile(NamedTuple):
    """A file on the Hugging Face Hub."""

    repo: str  # OWNER/NAME
    revision: str
    file: str


def is_on_hub(location: Location) -> bool:
    return location.url.startswith("hf://")


def make_https_url(location: Location) -> str:
    """Returns where a location is asked for; on the Hub, at ``HF_ENDPOINT`` if set."""
    return make_url(location, os.environ.get("HF_ENDPOINT") or _HUGGING_FACE)


def make_url(location: Location, hub: str = _HUGGING_FACE) -> str:
    """Returns the address of a location, with that of the Hub."""
    scheme, _, rest = location.url.partition("://")
    if scheme == "gs":
        return f"{_GCS}/{quote(rest, safe='/+')}"
    if scheme != "hf":
        return location.url
    repo, revision, file = parse_hub_url(location.url)
    return f"{hub.rstrip('/')}/{repo}/resolve/{quote(revision, safe='')}/{file}"


def make_relative_path(location: Location) -> PurePosixPath:
    """Returns the path of a location's file below the cache, a folder or a mirror.

    ``vit_models/imagenet21k/ViT-B_16.npz``; ``timm/REPOSITORY/model.safetensors``.
    """
    if is_on_hub(location):
        repo, _, file = parse_hub_url(location.url)
        return PurePosixPath(repo, file)
    parts = urlsplit(location.url)
    names = [parts.netloc.replace(":", "_"), *parts.path.strip("/").split("/")]
    return PurePosixPath(*(name for name in names if name not in ("", ".", "..")))


def list_local_names(location: Location) -> Iterator[PurePosixPath]:
    """Yields the paths under which a folder of the user may hold a location's file.

    As in the cache; without the bucket; of the Hub also as REPOSITORY.safetensors. A
    bare ``ViT-B_16.npz`` only if its folder says which: several weights are called so.
    """
    full = make_relative_path(location)
    yield full
    yield PurePosixPath(*full.parts[1:]) if len(full.parts) > 2 else full
    if is_on_hub(location):
        yield PurePosixPath(full.parent.name + full.suffix)
    elif "-i1k-" in full.name or "-i21k-" in full.name:  # AugReg's are unique
        yield PurePosixPath(full.name)


def parse_url(url: str) -> Location | None:
    """Returns the location of a URL that a user typed; None for what is no URL.

    Raises:
        ConfigError: for a URL of the wrong form.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return None
    if scheme == "hf":
        parse_hub_url(url)
    elif scheme not in ("gs", "https") or "/" not in rest.strip("/"):
        raise ConfigError(
            "weights must be a name, gs://BUCKET/PATH, hf://OWNER/NAME/FILE or "
            f"https://HOST/PATH, got {url}; `vit-jax models` lists names"
        )
    return Location(url)


def parse_hub_url(url: str) -> HubFile:
    """Returns the parts of ``hf://OWNER/NAME[@REVISION]/FILE``.

    Raises:
        ConfigError: for a URL of another form.
    """
    match = _HUB_URL.fullmatch(url)
    if match is None:
        raise ConfigError(
            "a file on the Hub must be hf://OWNER/NAME/FILE or "
            f"hf://OWNER/NAME@REVISION/FILE, got {url}; add the file, often "
            "model.safetensors"
        )
    return HubFile(match["repo"], match["revision"] or "main", match["file"])
