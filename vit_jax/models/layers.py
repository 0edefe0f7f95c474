"""The same layer many times: as a loop or one compiled scan, with or without remat.

A scan compiles one layer instead of l, and keeps its parameters stacked: one array with
a leading axis of layers, ``encoderblock/…``, in the place of l, ``encoderblock_0/…``.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import STACKED, format_path
from vit_jax.models.dimensions import known
from vit_jax.models.residual import stochastic_depth_rate

# What a layer keeps for its backward pass; the rest is computed again. ``half`` keeps
# everything in every second layer and nothing in the others. By the TPU compiler
# (libtpu 0.0.42, v5e), of one more layer of ViT-B/16 in bfloat16, 128 images, in training
# (benchmarks/remat.py):
#
#   | kept                                  | MiB | estimated cycles |
#   |---------------------------------------|-----|------------------|
#   | none: everything                      | 568 | 23.6 M           |
#   | half (mean of its neighbours)         | 213 | 28.1 M           |
#   | dots: plain products                  | 342 | 32.3 M           |
#   | full: nothing but the layer's input   |  45 | 31.5 M           |
#
# A policy that keeps a part of a layer breaks fusions, and costs more than its share of
# ``full`` (that script tries more of them): less memory is best had from fewer layers
# that keep everything.
REMAT: dict[str, Callable[..., Any] | None] = {
    "none": None,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "half": jax.checkpoint_policies.nothing_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def run_layers(
    parent: nn.Module,
    make_block: Callable[..., nn.Module],
    call: Callable[[Any, Any, Any], Any],
    x: Float[Array, "b n d"],
    *,
    name: str,
    config: ModelConfig,
) -> Float[Array, "b n d"]:
    """Returns the output of the last layer for the input ``x``.

    Sows the output of layer i as ``block_{i}`` into the parent's intermediates.
    Loop and scan compute the same, but draw different random numbers.

    Args:
        parent: the module that contains the layers.
        make_block: constructs a layer with its ``name``.
        call: ``(block, x, rate) -> x``; the rate is of this layer's stochastic depth,
            a number, or an array under scan.
        name: of the stacked layers; in a loop ``{name}_{i}``.
        config: resolved; how many layers, ``scan`` and ``remat``, and the rate of
            stochastic depth in the last layer.
    """
    num_layers, rate = known(config.num_layers), config.stochastic_depth_rate
    rates = [stochastic_depth_rate(rate, i, num_layers) for i in range(num_layers)]
    wanted = parent.is_mutable_collection("intermediates")

    def layer(block: Any, x: Any, layer_rate: Any, keep: bool = False) -> Any:
        # Functions are lifted, not classes: remat would put its name before a layer's.
        # The rate is not an argument of what remat sees, so that 0 stays a number.
        policy = "none" if keep else config.remat
        call_layer = _remat(lambda b, x: call(b, x, layer_rate), policy, config.scan)
        return call_layer(block, x)

    if config.scan:

        def step(block: Any, x: Any, layer_rate: Any) -> tuple[Any, Any]:
            y = layer(block, x, layer_rate if rate else 0.0)
            return y, y if wanted else None

        blocks = nn.scan(
            step,
            variable_axes={"params": 0, "intermediates": 0, "attention": 0},
            split_rngs={"params": True, "dropout": True},
            length=num_layers,
        )
        x, outputs = blocks(make_block(name=name), x, jnp.asarray(rates, jnp.float32))
    else:
        outputs = []
        for i in range(num_layers):
            keep = config.remat == "half" and i % 2 == 0
            x = layer(make_block(name=f"{name}_{i}"), x, rates[i], keep)
            outputs.append(x)
    for i in range(num_layers if wanted else 0):
        parent.sow("intermediates", f"block_{i}", outputs[i])
    return x


def _remat(call: Callable[..., Any], remat: str, in_scan: bool) -> Callable[..., Any]:
    if remat == "none":
        return call
    # A loop must keep XLA from merging the second computation with the first; a scan's
    # body is compiled separately.
    return nn.remat(call, policy=REMAT[remat], prevent_cse=not in_scan)


_LAYER = re.compile(rf"({'|'.join(STACKED)})_(\d+)")


def stack_layer_params(tree: Any) -> Any:
    """Returns any tree of parameters, a state's too, as the scan has it."""
    return _in_dicts(_stack, tree)


def unstack_layer_params(tree: Any) -> Any:
    """Returns any tree of parameters, a state's too, as the loop has it."""
    # Of the whole tree: an optimizer has no moments, so no arrays, of frozen layers.
    num_layers = next(
        (
            leaf.shape[0]
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
            if not set(STACKED).isdisjoint(format_path(path).split("/"))
        ),
        0,
    )
    return _in_dicts(functools.partial(_unstack, num_layers=num_layers), tree)


def _in_dicts(change: Callable[[Any], Any], tree: Any) -> Any:
    """Changes the outermost dictionaries of a tree; a state keeps trees inside tuples."""
    return jax.tree.map(
        lambda node: change(node) if isinstance(node, Mapping) else node,
        tree,
        is_leaf=lambda node: isinstance(node, Mapping),
    )


def _stack(tree: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    layers: dict[str, dict[int, Any]] = {}
    for key, value in tree.items():
        if found := _LAYER.fullmatch(key):
            layers.setdefault(found[1], {})[int(found[2])] = value
        else:
            made[key] = _in_dicts(_stack, value)
    for name, by_number in layers.items():
        ordered = [by_number[i] for i in range(len(by_number))]
        made[name] = jax.tree.map(lambda *parts: jnp.stack(parts), *ordered)
    return made


def _unstack(tree: Mapping[str, Any], num_layers: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in STACKED:
            made[key] = _in_dicts(
                functools.partial(_unstack, num_layers=num_layers), value
            )
            continue
        for i in range(num_layers):
            made[f"{key}_{i}"] = jax.tree.map(lambda leaf, i=i: leaf[i], value)
    return made
