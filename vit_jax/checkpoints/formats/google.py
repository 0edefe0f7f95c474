"""The original's .npz: google-research/vision_transformer, and MLP-Mixer.

Two namings: that of today's linen modules, which are the canonical names, and that of
the released files, which flax numbered over all submodules of a block (pre-linen):
``LayerNorm_0, MultiHeadDotProductAttention_1, LayerNorm_2, MlpBlock_3``.
"""

import dataclasses
import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vit_jax.checkpoints.formats.assemble import assemble_flax
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.metadata import Metadata
from vit_jax.checkpoints.formats.support import ANY, SIZES, Support
from vit_jax.checkpoints.formats.timm_peer import run_timm_npz
from vit_jax.checkpoints.lazy import BFLOAT16, Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models import POSITION, count_prefix

_NUMBERED = re.compile(r"([A-Za-z]+)_(\d{1,9})")
_GROUP_NORM = re.compile(r"(.*/)?gn(_root|_proj|\d)/(scale|bias)")
_TO_PRELINEN = {
    "MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
    "LayerNorm_1": "LayerNorm_2",
    "MlpBlock_0": "MlpBlock_3",
}
# What the original computes, whatever the file: not a guess.
_FIELDS: dict[str, Any] = {"activation": "gelu_tanh", "layer_norm_epsilon": 1e-6}


_STARTS = ("Transformer/encoderblock_0/", "MixerBlock_0/", "stem/", "embedding/")
_SUPPORT: Support = {
    **SIZES,
    "family": ("vit", "hybrid", "mixer"),
    "classifier": ("token", "gap", "unpooled", "token_unpooled"),
    "representation_size": ANY,
    "posemb": ("learned",),
    "posemb_prefix": ANY,  # rows of zeros are written where there are none
    "activation": (_FIELDS["activation"],),
    "layer_norm_epsilon": (_FIELDS["layer_norm_epsilon"],),
    "resnet_layers": ANY,
    "resnet_width_factor": ANY,
    "tokens_mlp_dim": ANY,
}


def _is_prelinen(names: Collection[str]) -> bool:
    return any("MlpBlock_3/" in name for name in names)


def _recognises(names: Collection[str]) -> bool:
    return not _is_prelinen(names) and any(n.startswith(_STARTS) for n in names)


def _read(tensors: Mapping[str, Lazy], metadata: Metadata, what: str) -> Checkpoint:
    """Returns the checkpoint of either naming.

    Group norm's parameters may have the shape (c,) or (1, 1, 1, c).

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    file_format = "google_prelinen" if _is_prelinen(tensors) else "google"
    renumbered = renumber(tensors, what)
    tree = {
        renumbered[name]: t.rearranged("1 1 1 c -> c")
        if t.shape[:3] == (1, 1, 1)
        and len(t.shape) == 4
        and _GROUP_NORM.fullmatch(name)
        else t
        for name, t in tensors.items()
    }
    return assemble_flax(file_format, tree, metadata.complete(_FIELDS), what)


def _write(checkpoint: Checkpoint, *, prelinen: bool) -> dict[str, Lazy]:
    """Returns the arrays under the format's names, in the shapes of its files.

    bfloat16 becomes float32, which holds the same numbers: the original reads no other.
    """
    tensors = {}
    for name, tensor in add_class_row(checkpoint.tensors, checkpoint.model).items():
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
        raise ConfigError(
            f"{what} must have names that differ, got two arrays of one "
            "name once they are numbered alike; check who wrote the file"
        )
    return result


def add_class_row(tree: Mapping[str, Lazy], model: ModelConfig) -> dict[str, Lazy]:
    """Returns the tree with a position for each prefix token: zero where it has none."""
    missing = count_prefix(model)
    if model.posemb_prefix or not missing or POSITION not in tree:
        return dict(tree)
    table = tree[POSITION]
    shape = (1, table.shape[1] + missing, table.shape[2])
    pad = ((0, 0), (missing, 0), (0, 0))
    return {**tree, POSITION: table.map(lambda x: np.pad(x, pad), shape)}


FORMAT = Format(
    suffix=".npz",
    recognises=_recognises,
    read=_read,
    write=functools.partial(_write, prelinen=False),
    support=lambda model: _SUPPORT,
)
PRELINEN = dataclasses.replace(
    FORMAT,
    recognises=_is_prelinen,
    write=functools.partial(_write, prelinen=True),
    peer=run_timm_npz,
)
