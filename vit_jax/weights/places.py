"""Where a file may lie: folders, the cache, mirrors, and the places of the table."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from vit_jax.errors import ConfigError
from vit_jax.weights.published import Place

_GCS = "https://storage.googleapis.com"
_HUGGING_FACE = "https://huggingface.co"
_HUB = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^?]+?))?/(?P<file>[\w.-]+)"
)


def make_https_url(place: Place) -> str:
    """Returns the address of a place; on the Hub, at ``HF_ENDPOINT`` if that is set."""
    return make_url(place, os.environ.get("HF_ENDPOINT", _HUGGING_FACE).rstrip("/"))


def make_url(place: Place, hub: str = _HUGGING_FACE) -> str:
    """Returns the address of a place, with that of the Hub."""
    scheme, _, rest = place.url.partition("://")
    if scheme == "gs":
        return f"{_GCS}/{quote(rest, safe='/+')}"
    if scheme != "hf":
        return place.url
    repo, revision, file = _hub(place)
    return f"{hub}/{repo}/resolve/{quote(revision, safe='')}/{file}"


def make_relative_path(place: Place) -> PurePosixPath:
    """Returns the path of a place's file below the cache, a folder or a mirror.

    ``vit_models/imagenet21k/ViT-B_16.npz``; ``timm/REPOSITORY/model.safetensors``.
    """
    if place.url.startswith("hf://"):
        repo, _, file = _hub(place)
        return PurePosixPath(repo, file)
    parts = urlsplit(place.url)
    names = [parts.netloc.replace(":", "_"), *parts.path.strip("/").split("/")]
    return PurePosixPath(*(name for name in names if name not in ("", ".", "..")))


def list_local_names(place: Place) -> Iterator[PurePosixPath]:
    """Yields the paths under which a folder of the user may hold a place's file.

    As in the cache; without the bucket; of the Hub also as REPOSITORY.safetensors. A
    bare ``ViT-B_16.npz`` only if its folder says which: several weights are called so.
    """
    full = make_relative_path(place)
    yield full
    yield PurePosixPath(*full.parts[1:]) if len(full.parts) > 2 else full
    if place.url.startswith("hf://"):
        yield PurePosixPath(full.parent.name + full.suffix)
    elif "-i1k-" in full.name or "-i21k-" in full.name:  # AugReg's are unique
        yield PurePosixPath(full.name)


def find_hub_cache(place: Place) -> Iterator[Path]:
    """Yields the place's file in Hugging Face's own cache, if it is there."""
    if not place.url.startswith("hf://"):
        return
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    root = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    repo, _, file = _hub(place)
    folder = root / f"models--{repo.replace('/', '--')}" / "snapshots"
    yield from sorted(folder.glob(f"*/{file}"))


def list_folders() -> list[Path]:
    """Returns the folders in ``VIT_JAX_WEIGHTS``."""
    text = os.environ.get("VIT_JAX_WEIGHTS", "")
    return [Path(name).expanduser() for name in text.split(os.pathsep) if name]


def find_weights_cache() -> Path:
    """Returns ``VIT_JAX_CACHE``, or the usual place."""
    text = os.environ.get("VIT_JAX_CACHE")
    return Path(text).expanduser() if text else Path.home() / ".cache" / "vit_jax"


def list_mirrors() -> list[str]:
    """Returns the URLs in ``VIT_JAX_MIRROR``, separated by spaces or commas.

    Raises:
        ConfigError: for one that is no http or https URL.
    """
    found = re.split(r"[\s,]+", os.environ.get("VIT_JAX_MIRROR", "").strip())
    for url in filter(None, found):
        if urlsplit(url).scheme not in ("https", "http"):
            raise ConfigError(
                f"VIT_JAX_MIRROR must be https://HOST/PREFIX, got {url}; for a folder "
                "set VIT_JAX_WEIGHTS"
            )
    return [url.rstrip("/") for url in found if url]


def is_offline() -> bool:
    """Returns whether ``VIT_JAX_OFFLINE`` forbids the network."""
    text = os.environ.get("VIT_JAX_OFFLINE", "").lower()
    return text not in ("", "0", "false", "no")


def find_hub_token(place: Place) -> str | None:
    """Returns ``HF_TOKEN`` for a place on the Hub."""
    return os.environ.get("HF_TOKEN") if place.url.startswith("hf://") else None


def parse_url(url: str) -> Place | None:
    """Returns the place of a URL that a user typed; None for what is none.

    Raises:
        ConfigError: for a URL of the wrong form.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return None
    place = Place(url)
    if scheme == "hf":
        _hub(place)
    elif scheme not in ("gs", "https") or "/" not in rest.strip("/"):
        raise ConfigError(
            "weights must be a name, gs://BUCKET/PATH, hf://OWNER/NAME/FILE or "
            f"https://HOST/PATH, got {url}; `vit-jax models` lists names"
        )
    return place


def _hub(place: Place) -> tuple[str, str, str]:
    match = _HUB.fullmatch(place.url)
    if match is None:
        raise ConfigError(
            f"{place.url} must be hf://OWNER/NAME/FILE or "
            "hf://OWNER/NAME@REVISION/FILE; add the file, often model.safetensors"
        )
    return match["repo"], match["revision"] or "main", match["file"]
