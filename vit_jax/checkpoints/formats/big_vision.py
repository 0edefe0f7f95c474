"""big_vision's .npz: google-research/big_vision, and the towers of its two-tower models.

Names are those of linen, under a prefix (``params/``, ``opt/target/``, ``img/``), with
the position embedding at the top, because it is added before the class token is. Blocks
may be stacked along a first axis, as ``nn.scan`` makes them.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from vit_jax.checkpoints.formats.assemble import assemble_flax
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.metadata import Metadata
from vit_jax.checkpoints.formats.support import ANY, SIZES, Support
from vit_jax.checkpoints.formats.timm_peer import run_timm_npz
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.stacked import unstack_layers
from vit_jax.checkpoints.trees import abridge
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models import POSITION

_TOWER = re.compile(r"(?P<prefix>(.*/)?)Transformer/encoderblock(_0)?/")
_FIELDS: dict[str, Any] = {
    "activation": "gelu_tanh",
    "layer_norm_epsilon": 1e-6,
    "posemb_prefix": False,
}


_SUPPORT: Support = {
    **SIZES,
    "classifier": ("token", "gap", "map"),
    "representation_size": ANY,
    "posemb": ("learned", "sincos2d"),
    "activation": (_FIELDS["activation"],),
    "layer_norm_epsilon": (_FIELDS["layer_norm_epsilon"],),
    "family": ("vit",),
}


def _list_support(model: ModelConfig) -> Support:
    """The positions have no row for a class token, where there is one."""
    has_row = (False,) if model.classifier == "token" else (False, True)
    return {**_SUPPORT, "posemb_prefix": has_row}


def _list_prefixes(names: Collection[str]) -> list[str]:
    """Returns the prefixes of image towers, without those of optimizer state."""
    found = {match["prefix"] for name in names if (match := _TOWER.match(name))}
    found = {prefix for prefix in found if f"{prefix}embedding/kernel" in names}
    parameters = {p for p in found if not p.startswith("opt/") or "opt/target/" in p}
    return sorted(parameters)


def _recognises(names: Collection[str]) -> bool:
    """Returns whether these are big_vision's names, and not the original's."""
    for prefix in _list_prefixes(names):
        posemb = f"{prefix}{POSITION}" not in names
        if prefix or posemb or f"{prefix}MAPHead_0/probe" in names:
            return True
    return False


def _read(tensors: Mapping[str, Lazy], metadata: Metadata, what: str) -> Checkpoint:
    """Returns the image tower.

    Raises:
        ConfigError: there is more than one, or the arrays are not those of one model.
    """
    found = _list_prefixes(tensors)
    if len(found) != 1:
        raise ConfigError(
            f"{what} must have one image tower, got {len(found)}: "
            f"{abridge(found)}; take the others out"
        )
    prefix = found[0]
    tree = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    if not prefix:
        tree = {k: v for k, v in tree.items() if not k.startswith(("opt/", "states/"))}
    tree = unstack_layers(tree, what)
    if "pos_embedding" in tree:
        tree[POSITION] = tree.pop("pos_embedding")
        metadata = metadata.complete(_FIELDS)
    elif POSITION not in tree:
        metadata = metadata.complete(
            {**_FIELDS, "posemb": "sincos2d"}, "no position embedding: sincos2d"
        )
    rest = sorted({n.split("/")[0] for n in tensors if not n.startswith(prefix)})
    if rest:
        metadata = metadata.complete({}, f"left out, beside {prefix}: {abridge(rest)}")
    return assemble_flax("big_vision", tree, metadata, what)


def _write(checkpoint: Checkpoint) -> dict[str, Lazy]:
    """Returns the arrays under big_vision's names, without prefix."""
    tensors = dict(checkpoint.tensors)
    if POSITION in tensors:
        tensors["pos_embedding"] = tensors.pop(POSITION)
    return tensors


FORMAT = Format(
    suffix=".npz",
    recognises=_recognises,
    read=_read,
    write=_write,
    support=_list_support,
    peer=run_timm_npz,
)
