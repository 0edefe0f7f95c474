"""Split strings in TFDS syntax, for every source: ``train[:98%]``, ``train+val[10:]``.

Also the split of a data set that comes without one: per class, by a hash of the name.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from vit_jax.errors import ConfigError, did_you_mean

# The share of the images of each class that an unsplit data set holds out.
TEST_FRACTION = 0.2

_TERM = re.compile(r"(?P<name>[\w-]+)(\[(?P<start>[^:\]]*):(?P<stop>[^:\]]*)\])?")
_BOUND = re.compile(r"(?P<value>-?[\d_]+(\.\d+)?)(?P<percent>%?)")


def resolve_split(spec: str, sizes: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Returns the ranges ``(split, start, stop)`` that ``spec`` names, in its order.

    A percentage is rounded to the closest example, halves to even, as TFDS does, so
    that ``train[:98%]`` and ``train[98%:]`` share no example and miss none.

    Args:
      spec: one or several splits joined by ``+``, each with an optional slice of
        examples or percent. Negative bounds count from the end.
      sizes: the number of examples in each split that exists.

    Raises:
      ConfigError: the syntax is wrong, a split does not exist, a bound is outside
        it, or nothing is left.

    Reference: https://www.tensorflow.org/datasets/splits
    """
    ranges = []
    for term in spec.split("+"):
        match = _TERM.fullmatch(term.strip())
        if not match:
            raise ConfigError(
                f'split must be written like "train", "train[:98%]" or "train+test", '
                f'got "{spec}"'
            )
        name = match["name"]
        if name == "all" and "all" not in sizes and match["start"] is None:
            ranges += [(each, 0, size) for each, size in sizes.items()]
            continue
        if name not in sizes:
            close = did_you_mean(name, sizes)
            raise ConfigError(
                f'split must be one of {", ".join(sizes)}, got "{name}"'
                f"{close if 'did you mean' in close else ''}; "
                "choose with --config.data.train_split and --config.data.eval_split"
            )
        size = sizes[name]
        start = _parse_bound(match["start"], 0, size, spec)
        stop = _parse_bound(match["stop"], size, size, spec)
        ranges.append((name, start, max(start, stop)))
    if not any(stop - start for _, start, stop in ranges):
        counts = ", ".join(f"{sizes[name]} in {name}" for name, _, _ in ranges)
        raise ConfigError(
            f'split must select at least one image, got "{spec}" ({counts})'
        )
    return ranges


def list_splits(spec: str) -> list[str]:
    """Returns the names of the splits in ``spec``, without their slices."""
    return [term.partition("[")[0].strip() for term in spec.split("+")]


def _parse_bound(text: str | None, default: int, size: int, spec: str) -> int:
    """Returns an absolute bound within ``[0, size]``."""
    if not text or not text.strip():
        return default
    match = _BOUND.fullmatch(text.strip())
    if not match or ("." in match["value"] and not match["percent"]):
        raise ConfigError(
            f"bounds of a split must be whole examples or percent, "
            f'got "{text}" in "{spec}"; write "train[100:200]" or "train[:98%]"'
        )
    if match["percent"]:
        bound = round(float(match["value"]) * size / 100)
    else:
        bound = int(match["value"])
    if abs(bound) > size:
        raise ConfigError(
            f'bounds of a split must be within its {size} images, got "{spec}"'
        )
    return bound if bound >= 0 else size + bound


def split_stratified(
    names: Sequence[str], labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Splits every class alike; returns the indices of train and of test.

    The order of the names' hashes decides, not their number, their order or a random
    generator: the same files give the same split on every machine, and a new file
    moves at most one other of its class.

    Args:
      names: [n], unique.
      labels: integers [n].

    Returns:
      Two sorted int64 arrays: the training examples and the ``TEST_FRACTION`` of each
      class that is held out (rounded; at least one example of a class of two or more).
    """
    order = sort_by_hash(names)
    ordered_labels = np.asarray(labels)[order]
    is_test = np.zeros(len(names), bool)
    for label in np.unique(ordered_labels):
        members = order[ordered_labels == label]
        count = round(TEST_FRACTION * len(members))
        is_test[members[: max(count, 1) if len(members) > 1 else 0]] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def sort_by_hash(names: Sequence[str]) -> np.ndarray:
    """Returns the indices of ``names`` in the order of their SHA-256: int64 [n]."""
    digests = [
        hashlib.sha256(name.encode("utf-8", "surrogateescape")) for name in names
    ]
    keys = [digest.digest() for digest in digests]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
