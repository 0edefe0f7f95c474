"""Blocks one by one, or stacked along a first axis as a scan over them has it."""

import re
from collections.abc import Mapping

from vit_jax.checkpoints.lazy import Lazy, stack_lazy
from vit_jax.checkpoints.trees import make_printable
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import STACKED

_KINDS = "|".join(STACKED)
_ONE = re.compile(rf"((?:.*/)?(?:{_KINDS}))_(\d{{1,6}})/(.*)", re.DOTALL)
_STACK = re.compile(rf"((?:.*/)?(?:{_KINDS}))/(.*)", re.DOTALL)
_MOST_LAYERS = 10_000


def unstack_layers(tree: Mapping[str, Lazy], what: str) -> dict[str, Lazy]:
    """Returns the tree with each layer's part of a stacked array under its own name.

    Raises:
        ConfigError: an array under a stack's name is none.
    """
    result: dict[str, Lazy] = {}
    for name, tensor in tree.items():
        match = _STACK.fullmatch(name)
        if match is None:
            result[name] = tensor
            continue
        num_layers = tensor.shape[0] if tensor.shape else 0
        if not 0 < num_layers <= _MOST_LAYERS:
            raise ConfigError(
                f"{what} must stack its layers, got the shape {tensor.shape} for "
                f"{make_printable(name)}; get the file again"
            )
        for i in range(num_layers):
            part = tensor.part(i, num_layers).rearranged("1 ... -> ...")
            result[f"{match[1]}_{i}/{match[2]}"] = part
    return result


def stack_layers(tree: Mapping[str, Lazy]) -> dict[str, Lazy]:
    """Returns the tree with the arrays of all layers in one; the inverse."""
    result: dict[str, Lazy] = {}
    layers: dict[str, dict[int, Lazy]] = {}
    for name, tensor in tree.items():
        match = _ONE.fullmatch(name)
        if match is None:
            result[name] = tensor
        else:
            number = int(match[2])
            layers.setdefault(f"{match[1]}/{match[3]}", {})[number] = tensor
    for name, by_number in layers.items():
        ordered = [by_number[i] for i in range(len(by_number))]
        result[name] = stack_lazy(ordered, "... -> 1 ...")
    return result
