"""From what a user types to published weights."""

import difflib
import fnmatch
import functools

from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError
from vit_jax.weights import augreg, locations
from vit_jax.weights.published.augreg import AUGREG_FOLDER, AUGREG_VARIANTS
from vit_jax.weights.published.catalog import WEIGHTS
from vit_jax.weights.published.defaults import DEFAULTS, UNRELEASED
from vit_jax.weights.record import Location, PublishedWeights


class UnknownWeights(ConfigError):
    """A name that no weights have."""


def list_names() -> tuple[str, ...]:
    """Returns the name of every set of weights in the table."""
    return tuple(WEIGHTS)


def find_weights(pattern: str) -> tuple[str, ...]:
    """Returns the names that match: a glob, or a part of the name or variant.

    Case does not matter, and ``/`` matches ``_``: "b/16", "dinov2", "*-384*".
    """
    wanted = _simplify(pattern)
    wanted = wanted if set(wanted) & set("*?[") else f"*{wanted}*"
    return tuple(
        name
        for name, row in WEIGHTS.items()
        if fnmatch.fnmatchcase(_simplify(name), wanted)
        or (
            row.model
            and fnmatch.fnmatchcase(_simplify(row.model.variant or ""), wanted)
        )
    )


def look_up(name: str) -> PublishedWeights | None:
    """Returns what is known about weights, or None for an unknown name.

    Raises:
        ConfigError: for a URL of the wrong form.
    """
    location = locations.parse_url(name)
    stem = name.removesuffix(".npz")
    known = (
        DEFAULTS.get(name.replace("_", "/"))
        or _find_aliases().get(stem)
        or _find_aliases().get(name)
    )
    if known is not None:
        return WEIGHTS[known]
    parsed = augreg.parse(name)
    if parsed is not None:
        return describe_augreg_file(stem.rpartition("/")[2], parsed)
    return PublishedWeights(name, (location,)) if location else None


def make_unknown_error(name: str) -> UnknownWeights:
    """Returns the error for an unknown name: the closest known, or why there is none."""
    if name.replace("_", "/") in UNRELEASED:
        return UnknownWeights(
            f"weights of {name} must be public, but were never released (trained on "
            f"JFT); the largest that were: imagenet21k/ViT-H_14, "
            "deit3/ViT-H_14-224-in21k, dinov2/ViT-g_14-reg4, "
            "siglip2/ViT-So400m_14-378"
        )
    if augreg.parse_query(name) is not None:
        return UnknownWeights(
            f'weights must be known, got "{name}", which AugReg\'s index chooses; '
            "it is fetched when these weights are first used as a checkpoint"
        )
    return UnknownWeights(
        f'a checkpoint must be a path that exists or the name of weights, got "{name}"'
        f"{_suggest(name)}; `vit-jax models` lists the names"
    )


def describe_augreg_file(
    stem: str, parsed: augreg.FileName, top1: float | None = None
) -> PublishedWeights:
    """Returns what is known from the file name of an AugReg checkpoint.

    Args:
        stem: of the file.
        parsed: `augreg.parse` of it.
        top1: percent, from the index.
    """
    data = parsed.adapted_to or parsed.upstream
    classes = {"i21k": "imagenet21k", "i1k": "imagenet1k", "imagenet2012": "imagenet1k"}
    model = ModelConfig(variant=AUGREG_VARIANTS[parsed.model])
    size = (parsed.resolution, parsed.resolution)
    same = [
        row
        for row in WEIGHTS.values()
        if (row.model, row.image_size, row.classes) == (model, size, classes.get(data))
    ]
    upstream = {"i21k": "ImageNet-21k", "i1k": "ImageNet-1k"}[parsed.upstream]
    return PublishedWeights(
        name=f"augreg/{stem}",
        locations=(Location(f"{AUGREG_FOLDER}/{stem}.npz"),),
        model=model,
        num_classes=same[0].num_classes if same else None,
        params=same[0].params if same else None,
        gflops=same[0].gflops if same else None,
        top1=top1 if data == "imagenet2012" else None,
        top1_source="AugReg's index.csv" if top1 and data == "imagenet2012" else None,
        license="Apache-2.0",
        preprocessing=Preprocessing(size),
        classes=classes.get(data),
        trained_on=f"{upstream}, then {data}" if parsed.adapted_to else upstream,
        paper="2106.10270",
    )


@functools.cache
def _find_aliases() -> dict[str, str]:
    """Returns other name -> name; what several weights are called is left out."""
    owners: dict[str, set[str]] = {}
    for name, row in WEIGHTS.items():
        for location in row.locations:
            for alias in _list_aliases(location):
                owners.setdefault(alias, set()).add(name)
    unique = {alias: min(owner) for alias, owner in owners.items() if len(owner) == 1}
    short = {name.partition("/")[2]: name for name in WEIGHTS if "augreg/" in name}
    return unique | short | {name: name for name in WEIGHTS}


def _list_aliases(location: Location) -> set[str]:
    found = {location.url, locations.make_url(location)}
    if location.url.startswith("hf://"):
        repo = str(locations.make_relative_path(location).parent)
        return found | {repo, repo.partition("/")[2]}
    path = str(locations.make_relative_path(location).with_suffix(""))
    _, _, inside = path.partition("/")
    return found | {path, inside, path.rpartition("/")[2]}


def _suggest(name: str) -> str:
    known = [*WEIGHTS, *DEFAULTS, *_find_aliases()]
    plain = {_simplify(text): text for text in reversed(known)}
    close = difflib.get_close_matches(_simplify(name), plain, n=3, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(f'"{plain[text]}"' for text in close) + "?"


def _simplify(text: str) -> str:
    return text.lower().replace("/", "_")
