"""The original's .npz: google-research/vision_transformer, and MLP-Mixer.

Two namings: that of today's linen modules, which are the canonical names, and that of
the released files, which flax numbered over all submodules of a block (pre-linen):
``LayerNorm_0, MultiHeadDotProductAttention_1, LayerNorm_2, MlpBlock_3``.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vit_jax.checkpoints.formats import assemble
from vit_jax.checkpoints.formats.facts import Facts
from vit_jax.checkpoints.layout import POSITION, num_prefix
from vit_jax.checkpoints.lazy import BFLOAT16, Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError

_NUMBERED = re.compile(r"([A-Za-z]+)_(\d{1,9})")
_GROUP_NORM = re.compile(r"(.*/)?gn(_root|_proj|\d)/(scale|bias)")
_TO_PRELINEN = {
    "MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
    "LayerNorm_1": "LayerNorm_2",
    "MlpBlock_0": "MlpBlock_3",
}
# What the original computes, whatever the file: not a guess.
_FIELDS: dict[str, Any] = {"activation": "gelu_tanh", "layer_norm_epsilon": 1e-6}


def recognises(names: Collection[str]) -> str | None:
    """Returns ``google``, ``google_prelinen`` or None."""
    if any("MlpBlock_3/" in name for name in names):
        return "google_prelinen"
    starts = ("Transformer/encoderblock_0/", "MixerBlock_0/", "stem/", "embedding/")
    return "google" if any(name.startswith(starts) for name in names) else None


def read(tensors: Mapping[str, Lazy], facts: Facts, what: str) -> Checkpoint:
    """Returns the checkpoint of either naming; nothing is read yet.

    Group norm's parameters may have the shape (c,) or (1, 1, 1, c).

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    file_format = recognises(tensors) or "google"
    renumbered = renumber(tensors, what)
    tree = {
        renumbered[name]: t.rearranged("1 1 1 c -> c")
        if t.shape[:3] == (1, 1, 1)
        and len(t.shape) == 4
        and _GROUP_NORM.fullmatch(name)
        else t
        for name, t in tensors.items()
    }
    return assemble.from_flax(file_format, tree, facts.completed(_FIELDS), what)


def write(
    tree: Mapping[str, Lazy], model: ModelConfig, *, prelinen: bool
) -> dict[str, Lazy]:
    """Returns the arrays under the format's names, in the shapes of its files.

    bfloat16 becomes float32, which holds the same numbers: the original reads no other.
    """
    tensors = {}
    for name, tensor in with_class_row(tree, model).items():
        if tensor.dtype == BFLOAT16:
            tensor = tensor.map(lambda x: x.astype(np.float32), dtype=np.float32)
        if prelinen:
            if _GROUP_NORM.fullmatch(name):
                tensor = tensor.rearranged("c -> 1 1 1 c")
            if name.startswith("Transformer/encoderblock_"):
                name = "/".join(_TO_PRELINEN.get(p, p) for p in name.split("/"))
        tensors[name] = tensor
    return tensors


def renumber(names: Collection[str], what: str) -> dict[str, str]:
    """Returns name -> name as linen numbers it: from 0, for each kind by itself.

    In natural order, so that layer 10 comes after layer 9. Layers keep their numbers:
    one that is missing must not go unnoticed.
    """
    seen: dict[tuple[str, str], set[int]] = {}
    for name in names:
        parent = ""
        for part in name.split("/"):
            if match := _NUMBERED.fullmatch(part):
                seen.setdefault((parent, match[1]), set()).add(int(match[2]))
            parent = f"{parent}{part}/"
    rank = {
        (parent, kind, number): i
        for (parent, kind), numbers in seen.items()
        for i, number in enumerate(sorted(numbers))
    }
    result = {}
    for name in names:
        parent, parts = "", []
        for part in name.split("/"):
            match = _NUMBERED.fullmatch(part)
            if match and match[1] not in ("encoderblock", "MixerBlock"):
                number = rank[parent, match[1], int(match[2])]
                parts.append(f"{match[1]}_{number}")
            else:
                parts.append(part)
            parent = f"{parent}{part}/"
        result[name] = "/".join(parts)
    if len(set(result.values())) != len(result):
        raise ConfigError(f"{what} has two arrays of one name; get the file again")
    return result


def with_class_row(tree: Mapping[str, Lazy], model: ModelConfig) -> dict[str, Lazy]:
    """Returns the tree with a position for each prefix token: zero where it has none."""
    missing = num_prefix(model)
    if model.posemb_prefix or not missing or POSITION not in tree:
        return dict(tree)
    table = tree[POSITION]
    shape = (1, table.shape[1] + missing, table.shape[2])
    pad = ((0, 0), (missing, 0), (0, 0))
    return {**tree, POSITION: table.map(lambda x: np.pad(x, pad), shape)}
