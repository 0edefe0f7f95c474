"""What the labels of ImageNet mean, in the order in which published weights count them.

The files beside this one say where they come from, and under which license.
"""

import collections
import functools
import gzip
from collections.abc import Sequence
from importlib import resources

from vit_jax.errors import check_choice

CLASS_SETS = {"imagenet1k": 1_000, "imagenet21k": 21_843}


@functools.cache
def read_class_names(class_set: str) -> tuple[str, ...]:
    """Returns a short name for each label, no two the same.

    The first lemma of the synset. Where several classes share it, all lemmas; where
    they share these too (the bird and the machine are both "crane"), the id is added.

    Raises:
        ConfigError: for an unknown set.
    """
    lemmas = read_synonyms(class_set)
    first = [text.partition(",")[0] for text in lemmas]
    names = _keep_unshared(first, lemmas)
    with_id = [
        f"{name} ({i})" for name, i in zip(names, read_synsets(class_set), strict=True)
    ]
    return tuple(_keep_unshared(names, with_id))


def read_synonyms(class_set: str) -> tuple[str, ...]:
    """Returns all lemmas of each label: ``"tench, Tinca tinca"``."""
    return tuple(lemmas for _, lemmas in _read_rows(class_set))


def read_synsets(class_set: str) -> tuple[str, ...]:
    """Returns the WordNet id of each label, as ImageNet's folders are called."""
    return tuple(synset for synset, _ in _read_rows(class_set))


@functools.cache
def _read_rows(class_set: str) -> tuple[tuple[str, str], ...]:
    check_choice("class set", class_set, CLASS_SETS)
    file = resources.files(__name__) / f"{class_set}.tsv.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    rows = tuple((line[:9], line[10:]) for line in lines)
    assert len(rows) == CLASS_SETS[class_set]
    return rows


def _keep_unshared(names: list[str], others: Sequence[str]) -> list[str]:
    counts = collections.Counter(names)
    return [
        other if counts[name] > 1 else name
        for name, other in zip(names, others, strict=True)
    ]
