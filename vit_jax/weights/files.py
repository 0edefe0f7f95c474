"""Published weights on this machine: looked for near, then far."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from vit_jax.errors import ConfigError
from vit_jax.storage.cache import find_cache_folder
from vit_jax.weights import augreg, locations, lookup, settings
from vit_jax.weights.download import download
from vit_jax.weights.failure import explain_missing
from vit_jax.weights.hub import download_from_hub, find_in_hub_cache, is_hub_file
from vit_jax.weights.published.augreg import AUGREG_FOLDER
from vit_jax.weights.record import Location, PublishedWeights
from vit_jax.weights.web import DownloadError, Limits

_INDEX = PublishedWeights("augreg/index.csv", (Location(f"{AUGREG_FOLDER}/index.csv"),))


def describe_published(
    name: str, *, cache: Path | str | None = None
) -> PublishedWeights:
    """Returns what is known about weights; asks no server.

    Args:
        name: one of `list_names`; a model ("ViT-B/16": the weights advised for it); the
            name that timm, Google, Facebook or the Hub has for them; the file name of
            any of AugReg's checkpoints; or gs://, hf:// or https://, of which only the
            location is known. A choice from AugReg's index (see `fetch_weights`) is
            known once the index is here, as it is after the first such `fetch_weights`.
        cache: as for `fetch_weights`.

    Raises:
        ConfigError: for an unknown name, with the closest known; for weights that were
            never published, with what there is instead.
    """
    found = lookup.look_up(name)
    if found is None and augreg.parse_query(name) is not None:
        for _, path in _list_near(_INDEX, cache):
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

    Looked for, in this order: the folders in ``VIT_JAX_WEIGHTS``; the caches, ours and
    Hugging Face's own; the mirrors in ``VIT_JAX_MIRROR``; the locations of the table. A
    download is checked against the server's checksum. What comes from the Hub is in the
    Hub's cache, which other tools share; all else is in ours.

    Args:
        name: as `describe_published` takes it; or the model of AugReg checkpoints with
            the data, ``augreg/B_8-i1k--cifar100-384``: the best one by AugReg's index.
        cache: a folder for all of it; None: ``VIT_JAX_CACHE``, else
            ``~/.cache/vit_jax``, and ``HF_HOME``.
        offline: True asks no server; None: as ``VIT_JAX_OFFLINE`` says.
        progress: shows a bar, on a terminal.
        limits: when to give up on a server.

    Raises:
        ConfigError: an unknown name; or one message with each location that was tried,
            its answer, and what helps.
    """
    offline = settings.is_offline() if offline is None else offline
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
        ConfigError: if the index has none, or is no index.
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
        raise ConfigError(
            f"file names in AugReg's index must be AugReg's, got {stem} in {index}; "
            "remove the index, so that it is fetched again"
        )
    top1 = 100 * row.adapted_final_test if parts.adapted_to else None
    return lookup.describe_augreg_file(stem, parsed, top1)


def list_missing_parts(name: str, path: Path) -> tuple[str, ...]:
    """Returns what the file at ``path`` leaves out of these weights: ``head``, ..."""
    weights = lookup.look_up(name)
    for location in weights.locations if weights else ():
        ends = [*map(str, locations.list_local_names(location))]
        is_local = any(path.as_posix().endswith(end) for end in ends)
        if is_local or (locations.is_on_hub(location) and is_hub_file(location, path)):
            return location.lacks
    return ()


def _get(
    weights: PublishedWeights,
    cache: Path | str | None,
    offline: bool,
    progress: bool,
    limits: Limits | None,
) -> Path:
    """Returns the file that is near, or the first that a server gives."""
    folder = _find_cache(cache)
    tried: list[str] = []
    for location, path in _list_near(weights, cache):
        if not path.is_file():
            continue
        wrong = _find_wrong_size(path, location)
        if not wrong:
            return path
        tried.append(f"{path}: {wrong}")
        if path.is_relative_to(folder):
            path.unlink()  # it is not what was put there
    here = [*map(str, settings.list_folders()), f"cache {folder}"]
    tried.append(f"{', '.join(here)}: not there")
    for url, location in _list_far(weights):
        if offline:
            tried.append(f"{url}: not asked, offline")
            continue
        try:
            return _download(url, location, cache, progress, limits)
        except DownloadError as error:
            tried.append(f"{url}: {error}")
    raise ConfigError(explain_missing(weights, tried, offline))


def _download(
    url: str,
    location: Location,
    cache: Path | str | None,
    progress: bool,
    limits: Limits | None,
) -> Path:
    """Returns the file: by the Hub's own library, unless a mirror is to be asked."""
    if locations.is_on_hub(location) and url == locations.make_https_url(location):
        hub_cache = None if cache is None else _find_cache(cache)
        return download_from_hub(location, hub_cache, progress=progress, limits=limits)
    path = _find_cache(cache) / locations.make_relative_path(location)
    download(
        url,
        path,
        sha256=location.sha256,
        size=location.size,
        progress=progress,
        limits=limits,
    )
    return path


def _list_near(
    weights: PublishedWeights, cache: Path | str | None
) -> Iterator[tuple[Location, Path]]:
    """Yields every path on this machine that the file may have."""
    folder = _find_cache(cache)
    for location in weights.locations:
        for each in settings.list_folders():
            for name in locations.list_local_names(location):
                yield location, each / name
    for location in weights.locations:
        yield location, folder / locations.make_relative_path(location)
        if locations.is_on_hub(location):
            for hub_cache in (None, None if cache is None else folder):
                if path := find_in_hub_cache(location, hub_cache):
                    yield location, path


def _list_far(weights: PublishedWeights) -> Iterator[tuple[str, Location]]:
    for location in weights.locations:
        path = quote(str(locations.make_relative_path(location)), safe="/+")
        for mirror in settings.list_mirrors():
            yield f"{mirror}/{path}", location
    for location in weights.locations:
        yield locations.make_https_url(location), location


def _find_cache(cache: Path | str | None) -> Path:
    return find_cache_folder() if cache is None else Path(cache).expanduser()


def _find_wrong_size(path: Path, location: Location) -> str | None:
    """Returns what is wrong with a file that was truncated since it was checked."""
    expected = location.size
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
