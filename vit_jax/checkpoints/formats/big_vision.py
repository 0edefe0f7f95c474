"""big_vision's .npz: google-research/big_vision, and the towers of its two-tower models.

Names are those of linen, under a prefix (``params/``, ``opt/target/``, ``img/``), with
the position embedding at the top, because it is added before the class token is. Blocks
may be stacked along a first axis, as ``nn.scan`` makes them.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from vit_jax.checkpoints.formats import assemble
from vit_jax.checkpoints.formats.facts import Facts
from vit_jax.checkpoints.layout import POSITION
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.stacked import stack_layers, unstack_layers
from vit_jax.checkpoints.trees import abridge
from vit_jax.errors import ConfigError

_TOWER = re.compile(r"(?P<prefix>(.*/)?)Transformer/encoderblock(_0)?/")
_FIELDS: dict[str, Any] = {
    "activation": "gelu_tanh",
    "layer_norm_epsilon": 1e-6,
    "posemb_prefix": False,
}


def prefixes(names: Collection[str]) -> list[str]:
    """Returns under which prefixes there is an image tower; optimizer moments aside."""
    found = {match["prefix"] for name in names if (match := _TOWER.match(name))}
    found = {prefix for prefix in found if f"{prefix}embedding/kernel" in names}
    parameters = {p for p in found if not p.startswith("opt/") or "opt/target/" in p}
    return sorted(parameters)


def recognises(names: Collection[str]) -> bool:
    """Tells whether these are big_vision's names, and not the original's."""
    for prefix in prefixes(names):
        posemb = f"{prefix}{POSITION}" not in names
        if prefix or posemb or f"{prefix}MAPHead_0/probe" in names:
            return True
    return False


def read(tensors: Mapping[str, Lazy], facts: Facts, what: str) -> Checkpoint:
    """Returns the image tower; nothing is read yet.

    Raises:
        ConfigError: there is more than one, or the arrays are not those of one model.
    """
    found = prefixes(tensors)
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
        facts = facts.completed(_FIELDS)
    elif POSITION not in tree:
        facts = facts.completed(
            {**_FIELDS, "posemb": "sincos2d"}, "no position embedding: sincos2d"
        )
    rest = sorted({n.split("/")[0] for n in tensors if not n.startswith(prefix)})
    if rest:
        facts = facts.completed({}, f"left out, beside {prefix}: {abridge(rest)}")
    return assemble.from_flax("big_vision", tree, facts, what)


def write(tree: Mapping[str, Lazy], *, scan: bool = False) -> dict[str, Lazy]:
    """Returns the arrays under big_vision's names, without prefix.

    Args:
        tree: canonical names; the positions have no row for a class token.
        scan: stacks the blocks.
    """
    tensors = {name: tensor for name, tensor in tree.items() if name != POSITION}
    if POSITION in tree:
        tensors["pos_embedding"] = tree[POSITION]
    return stack_layers(tensors) if scan else tensors
