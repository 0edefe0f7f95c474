"""Published weights on this machine: looked for near, then far."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from vit_jax.errors import ConfigError
from vit_jax.weights import augreg, lookup, places
from vit_jax.weights.download import download
from vit_jax.weights.published import AUGREG_FOLDER, WEIGHTS, Place, PublishedWeights
from vit_jax.weights.web import DownloadError, Limits

_INDEX = PublishedWeights("augreg/index.csv", (Place(f"{AUGREG_FOLDER}/index.csv"),))


def describe_published(
    name: str, *, cache: Path | str | None = None
) -> PublishedWeights:
    """Returns what is known about weights; asks no server.

    Args:
        name: one of `names`; a model ("ViT-B/16": the weights advised for it); the name
            that timm, Google, Facebook or the Hub has for them; the file name of any of
            AugReg's checkpoints; or gs://, hf:// or https://, of which only the place
            is known. A choice from AugReg's index (see `fetch_weights`) is known once the index
            is here, as it is after the first such `fetch_weights`.
        cache: as for `fetch_weights`.

    Raises:
        ConfigError: for an unknown name, with the closest known; for weights that were
            never published, with what there is instead.
    """
    found = lookup.look_up(name)
    if found is None and augreg.parse_query(name) is not None:
        folder = _cache(cache)
        for _, path in _near(_INDEX, folder):
            if path.is_file():
                return find_best_augreg(name, path)
    if found is None:
        raise lookup.make_unknown_error(name)
    return found


def fetch_weights(
    name: str,
    *,
    cache: Path | str | None = None,
    offline: bool | None = None,
    progress: bool = True,
    limits: Limits | None = None,
) -> Path:
    """Returns the path of a file with these weights, downloaded if need be.

    Looked for, in this order: the folders in ``VIT_JAX_WEIGHTS`` and Hugging Face's own
    cache; the cache; the mirrors in ``VIT_JAX_MIRROR``; the places of the table. A
    download is checked against the server's checksum before it appears in the cache.

    Args:
        name: as `describe_published` takes it; or the model of AugReg checkpoints with the data,
            ``augreg/B_8-i1k--cifar100-384``: the best one by AugReg's index.
        cache: a folder; None: ``VIT_JAX_CACHE``, else ``~/.cache/vit_jax``.
        offline: True asks no server; None: as ``VIT_JAX_OFFLINE`` says.
        progress: shows a bar, on a terminal.
        limits: when to give up on a server.

    Raises:
        ConfigError: an unknown name; or one message with each place that was tried, its
            answer, and what helps.
    """
    cache = _cache(cache)
    offline = places.is_offline() if offline is None else offline
    weights = lookup.look_up(name)
    if weights is None and augreg.parse_query(name) is not None:
        index = _get(_INDEX, cache, offline, progress, limits)
        weights = find_best_augreg(name, index)
    if weights is None:
        raise lookup.make_unknown_error(name)
    return _get(weights, cache, offline, progress, limits)


def find_best_augreg(query: str, index: Path) -> PublishedWeights:
    """Returns the best weights by AugReg's index.

    Args:
        query: as `augreg.parse_query` takes it: ``B_8``, ``B_16-i1k--cifar100-384``.
        index: the file ``index.csv``.

    Raises:
        ConfigError: if the index has none, or is none.
    """
    parts = augreg.parse_query(query)
    if parts is None:
        raise ConfigError(
            f"AugReg query must be MODEL[-DATA][--DATA[-SIZE]], got {query}; "
            "for example B_16-i1k--cifar100-384"
        )
    row = augreg.find_best(augreg.read_index(index), *parts)
    stem = row.adapted_filename if parts.adapted_to else row.filename
    parsed = augreg.parse(stem)
    if parsed is None:
        raise ConfigError(f"{index} has an unreadable file name, {stem}; remove it")
    top1 = 100 * row.adapted_final_test if parts.adapted_to else None
    return lookup.augreg_weights(stem, parsed, top1)


def list_missing_parts(name: str, path: Path) -> tuple[str, ...]:
    """Returns what the file at ``path`` leaves out of these weights: ``head``, ..."""
    weights = lookup.look_up(name)
    for place in weights.places if weights else ():
        ends = [*map(str, places.list_local_names(place))]
        found = any(path.as_posix().endswith(end) for end in ends)
        if found or path in places.find_hub_cache(place):
            return place.lacks
    return ()


def _cache(cache: Path | str | None) -> Path:
    return places.find_weights_cache() if cache is None else Path(cache).expanduser()


def _get(
    weights: PublishedWeights,
    cache: Path,
    offline: bool,
    progress: bool,
    limits: Limits | None,
) -> Path:
    tried: list[str] = []
    for place, path in _near(weights, cache):
        if not path.is_file():
            continue
        wrong = _wrong_size(path, place)
        if not wrong:
            return path
        tried.append(f"{path}: {wrong}")
        if path.is_relative_to(cache):
            path.unlink()  # it is not what was put there
    tried.append(_near_summary(cache))
    for url, place in _far(weights):
        if offline:
            tried.append(f"{url}: not asked, offline")
            continue
        path = cache / places.make_relative_path(place)
        try:
            download(
                url,
                path,
                token=places.find_hub_token(place)
                if url == places.make_https_url(place)
                else None,
                sha256=place.sha256,
                size=place.size,
                progress=progress,
                limits=limits,
            )
        except DownloadError as error:
            tried.append(f"{url}: {error}")
        else:
            return path
    raise ConfigError(_explain(weights, tried, offline))


def _near(weights: PublishedWeights, cache: Path) -> Iterator[tuple[Place, Path]]:
    """Yields every path on this machine where the file may lie."""
    for place in weights.places:
        for folder in places.list_folders():
            for name in places.list_local_names(place):
                yield place, folder / name
    for place in weights.places:
        yield place, cache / places.make_relative_path(place)
        for path in places.find_hub_cache(place):
            yield place, path


def _far(weights: PublishedWeights) -> Iterator[tuple[str, Place]]:
    for place in weights.places:
        for mirror in places.list_mirrors():
            yield (
                f"{mirror}/{quote(str(places.make_relative_path(place)), safe='/+')}",
                place,
            )
    for place in weights.places:
        yield places.make_https_url(place), place


def _wrong_size(path: Path, place: Place) -> str | None:
    """Returns what is wrong with a file that is there: cut off since it was checked."""
    expected = place.size
    origin = path.with_name(f"{path.name}.json")
    if expected is None and origin.is_file():
        try:
            expected = json.loads(origin.read_text()).get("size")
        except (ValueError, AttributeError):
            return None
    size = path.stat().st_size
    if expected is not None and size != expected:
        return f"{size} bytes, expected {expected}"
    return "an empty file" if size == 0 else None


def _near_summary(cache: Path) -> str:
    folders = [str(folder) for folder in places.list_folders()]
    return f"{', '.join([*folders, f'cache {cache}'])}: not there"


def _explain(weights: PublishedWeights, tried: list[str], offline: bool) -> str:
    names = dict.fromkeys(str(next(places.list_local_names(p))) for p in weights.places)
    own = "give its path in place of the name, or put it in a folder as "
    own += f"{' or '.join(names)}, and set VIT_JAX_WEIGHTS=FOLDER"
    helps = [
        f"a file that you have: {own}",
        "a mirror: set VIT_JAX_MIRROR=https://HOST/PREFIX (for the Hub, HF_ENDPOINT)",
        "a proxy: set HTTPS_PROXY=http://HOST:PORT",
    ]
    if offline:
        helps.insert(0, "unset VIT_JAX_OFFLINE, or pass offline=False")
    if any("huggingface" in text and ": 40" in text for text in tried):
        helps.append("a repository that asks for it: set HF_TOKEN")
    others = [
        row.name
        for row in WEIGHTS.values()
        if weights.model
        and row.model
        and row.name != weights.name
        and row.model.variant == weights.model.variant
        and any(place.url.startswith("hf://") for place in row.places)
    ]
    if others:
        helps.append(f"other weights of the same model: {', '.join(others[:4])}")
    first = f'weights "{weights.name}" must be here or in one of their places, tried:'
    lines = [first, *(f"  {text}" for text in tried)]
    return "\n".join([*lines, "what helps:", *(f"  - {text}" for text in helps)])
