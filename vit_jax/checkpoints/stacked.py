"""Blocks one by one, or stacked along a first axis as a scan over them has it.

`stack_layers` and `unstack_layers` are for arrays that are not yet read; `as_saved` and
`as_held` for whole training states.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax

from vit_jax.checkpoints.lazy import Lazy, stack_lazy
from vit_jax.checkpoints.trees import make_printable
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import STACKED, Axes
from vit_jax.mesh.sharding import get_shardings, shard_abstract
from vit_jax.models.layers import stack_layer_params, unstack_layer_params

_KINDS = "|".join(STACKED)
_ONE = re.compile(rf"((?:.*/)?(?:{_KINDS}))_(\d{{1,6}})/(.*)", re.DOTALL)
_STACK = re.compile(rf"((?:.*/)?(?:{_KINDS}))/(.*)", re.DOTALL)
_MOST_LAYERS = 10_000


def unstack_layers(tree: Mapping[str, Lazy], what: str) -> dict[str, Lazy]:
    """Returns the tree with each layer's part of a stacked array under its own name.

    Raises:
        ConfigError: an array has a stack's name but no axis of layers.
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
                f"{what} must stack at most {_MOST_LAYERS} layers, got the shape "
                f"{tensor.shape} for {make_printable(name)}; take another checkpoint"
            )
        for i in range(num_layers):
            part = tensor.part(i, num_layers).rearranged("1 ... -> ...")
            stored = tuple(dataclasses.replace(s, layer=i) for s in tensor.stored)
            result[f"{match[1]}_{i}/{match[2]}"] = dataclasses.replace(
                part, stored=stored
            )
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
        result[name] = _stack([by_number[i] for i in range(len(by_number))])
    return result


def _stack(layers: list[Lazy]) -> Lazy:
    """Returns the layers as one array, whose shards are where the layers' are."""
    stored = tuple(source for layer in layers for source in layer.stored)
    if len(stored) != len(layers):
        stored = ()
    first = dataclasses.replace(stored[0], layer=None) if stored else None
    rows = [dataclasses.replace(first, layer=i) for i in range(len(layers))] \
        if first else []  # fmt: skip
    if first and list(stored) == rows and first.shape[0] == len(layers):
        stored = (first,)  # all layers of one stack, in order: the stack itself
    return dataclasses.replace(stack_lazy(layers, "... -> 1 ..."), stored=stored)


def as_saved(abstract: Any, is_stacked: bool, axes: Axes) -> Any:
    """Returns an abstract state, layers stacked or not as a checkpoint has them.

    Args:
        abstract: any tree of parameters, with a sharding on each array.
        is_stacked: whether the checkpoint's layers are.
        axes: of the model; see `models.find_axes`.
    """
    made = jax.eval_shape(
        stack_layer_params if is_stacked else unstack_layer_params, abstract
    )
    if jax.tree.structure(made) == jax.tree.structure(abstract):
        return abstract
    mesh = jax.tree.leaves(abstract)[0].sharding.mesh
    return shard_abstract(made, axes, mesh)


def as_held(tree: Any, abstract: Any, is_stacked: bool) -> Any:
    """Returns what was read, layers stacked or not as ``abstract`` has them.

    Args:
        tree: arrays as the checkpoint has them.
        abstract: with a sharding on each array.
        is_stacked: whether the checkpoint's layers are.
    """
    if jax.tree.structure(tree) == jax.tree.structure(abstract):
        return tree
    change = unstack_layer_params if is_stacked else stack_layer_params
    return jax.jit(change, out_shardings=get_shardings(abstract))(tree)
