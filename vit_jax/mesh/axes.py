"""Logical axes of parameters, and the mesh axes that they are sharded over.

Models name the axes of their parameters (`AXES`: path suffix -> logical axes), and
`RULES` says which mesh axes shard a logical axis. A mesh axis of size 1 splits nothing,
so data parallelism, FSDP, tensor parallelism and their products are one table and four
meshes.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

MESH_AXES = ("data", "fsdp", "tensor")

# Logical axis -> mesh axes; an axis without a row is not sharded.
RULES: dict[str, tuple[str, ...]] = {
    "batch": ("data", "fsdp"),
    "embed": ("fsdp",),  # the width d, of every matrix and vector
    "mlp": ("tensor",),
    "heads": ("tensor",),
    "classes": ("tensor",),
}

# Path components under which every array has a leading axis of layers.
STACKED = ("encoderblock", "MixerBlock")

Axes = tuple[tuple[str, tuple[str | None, ...]], ...]


def format_path(path: tuple[Any, ...]) -> str:
    """Returns ``a/b/c`` for a key path of `jax.tree_util`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def find_logical_axes(name: str, rank: int, axes: Axes) -> tuple[str | None, ...]:
    """Returns the logical axes of the array at path ``name``; first match wins.

    A suffix matches whole path components, so it finds a parameter and, under any
    prefix, its moments in the optimizer's state. What is stacked over layers has one
    axis more than its row says.
    """
    leading: tuple[str | None, ...] = ()
    if not set(STACKED).isdisjoint(name.split("/")):
        leading, rank = ("layers",), rank - 1
    for suffix, names in axes:
        if name == suffix or name.endswith(f"/{suffix}"):
            assert len(names) == rank, f"{name} has rank {rank}, {suffix} says {names}"
            return leading + names
    raise AssertionError(f"no entry of AXES covers {name}")


def make_partition_spec(
    names: Sequence[str | None], shape: Sequence[int], mesh: Mesh
) -> PartitionSpec:
    """Returns the spec of a parameter; no mesh axis is used twice.

    A side that the mesh axis does not divide is not sharded: 10 classes on 8 devices
    are replicated, which costs little, instead of refused. If no side is sharded over
    ``fsdp`` by then, the longest one that it divides is: the biases of the MLP, the
    width of a model that is too narrow, a convolution.
    """
    entries: list[tuple[str, ...] | None] = []
    used: set[str] = set()
    for name, side in zip(names, shape, strict=True):
        over = tuple(a for a in RULES.get(name or "", ()) if mesh.shape[a] > 1)
        parts = math.prod(mesh.shape[a] for a in over)
        if not over or used & set(over) or side % parts:
            entries.append(None)
            continue
        used.update(over)
        entries.append(over)
    if mesh.shape["fsdp"] > 1 and "fsdp" not in used:
        _shard_longest(entries, names, shape, mesh)
    return PartitionSpec(*entries)


def _shard_longest(
    entries: list[tuple[str, ...] | None],
    names: Sequence[str | None],
    shape: Sequence[int],
    mesh: Mesh,
) -> None:
    """Adds ``fsdp`` to the side with the longest shards that it divides, if any."""
    shards = [
        side // math.prod(mesh.shape[a] for a in over or ())
        for side, over in zip(shape, entries, strict=True)
    ]
    # Not across the layers: each step of a scan would fetch its own from one device.
    sides = [i for i, length in enumerate(shards)
             if length % mesh.shape["fsdp"] == 0 and names[i] != "layers"]  # fmt: skip
    if sides:
        longest = max(sides, key=lambda i: shards[i])
        entries[longest] = (*(entries[longest] or ()), "fsdp")
