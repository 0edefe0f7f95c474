"""The mesh, and which part of each array lies on which device.

Models name the axes of their parameters (`AXES`: path suffix → logical axes); `RULES`
says which mesh axes a logical axis is cut over. An axis of size 1 cuts nothing, so data
parallelism, FSDP, tensor parallelism and their products are one table and four meshes.
"""

import contextvars
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError

T = TypeVar("T")

MESH_AXES = ("data", "fsdp", "tensor")

# Logical axis → mesh axes; what is not named here is not cut.
RULES: dict[str, tuple[str, ...]] = {
    "batch": ("data", "fsdp"),
    "embed": ("fsdp",),  # the width d, of every matrix and vector
    "mlp": ("tensor",),
    "heads": ("tensor",),
    "classes": ("tensor",),
}

# Of the residual stream. Its tokens are cut over the axis that cuts heads and MLP: what
# stands between their products (norms, dropout, the sums) is then no longer repeated on
# each of its devices, nor kept there (Korthikanti et al. 2022, arXiv:2205.05198, section
# 4.2.2). By benchmarks/layout.py this takes a third of the memory off, and no exchange
# is added: a sum over devices becomes a scattered one and a gathering. Only where they
# divide: unequal parts (197 tokens over 4 devices) exchange seven times as much.
STREAM: dict[str, tuple[str, ...]] = {"batch": RULES["batch"], "tokens": ("tensor",)}

# Path components under which every array has a leading axis of layers.
STACKED = ("encoderblock", "MixerBlock")

Axes = tuple[tuple[str, tuple[str | None, ...]], ...]


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Builds the mesh over all devices, axes ``data``, ``fsdp``, ``tensor``.

    Raises:
      ConfigError: the sizes do not multiply to the number of devices.
    """
    devices = list(devices or jax.devices())
    given = config.sizes
    fixed = math.prod(size for size in given if size != -1)
    sizes = [len(devices) // max(fixed, 1) if s == -1 else s for s in given]
    if given.count(-1) > 1 or min(sizes) < 1 or math.prod(sizes) != len(devices):
        raise ConfigError(
            f"config.mesh must have sizes whose product is {len(devices)}, the number "
            f"of devices, with at most one -1, got data={given[0]} fsdp={given[1]} "
            f"tensor={given[2]}; set one of them to -1, or leave all to "
            "--config.mesh.preset"
        )
    # linen's Conv does not take arrays with explicit axes, jax.make_mesh's default.
    return Mesh(
        np.asarray(devices).reshape(sizes),
        MESH_AXES,
        axis_types=(AxisType.Auto,) * len(MESH_AXES),
    )


def replicate_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def make_batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose first axis is the batch."""
    return NamedSharding(mesh, PartitionSpec(RULES["batch"]))


def count_batch_shards(mesh: Mesh) -> int:
    """Returns how many parts a batch is cut into."""
    return math.prod(mesh.shape[axis] for axis in RULES["batch"])


def find_batch_share(mesh: Mesh) -> tuple[int, int]:
    """Returns which share of each batch this host reads, and of how many.

    Hosts whose devices lie along ``tensor`` read the same one.

    Raises:
      ConfigError: this host's devices hold no share of their own: ``tensor`` mixes
        hosts that do not hold the same rows.
    """
    parts = count_batch_shards(mesh)
    rows = mesh.devices.reshape(parts, -1)  # row i of devices holds part i of a batch
    here = jax.process_index()
    held = [
        i for i, row in enumerate(rows) if any(d.process_index == here for d in row)
    ]
    if held != list(range(held[0], held[0] + len(held))) or held[0] % len(held):
        raise ConfigError(
            "config.mesh.tensor must divide the number of devices per host, or be a "
            f"multiple of it, got {mesh.shape['tensor']} for {len(mesh.local_devices)} "
            "devices per host; use 2, 4 or 8"
        )
    return held[0] // len(held), parts // len(held)


def check_batch_size(batch_size: int, mesh: Mesh, what: str) -> None:
    """Raises ConfigError unless the batch divides over the devices that share it."""
    parts = count_batch_shards(mesh)
    if batch_size % parts:
        raise ConfigError(
            f"{what} must be a multiple of {parts}, the number of devices that share "
            f"a batch, got {batch_size}; try {math.ceil(batch_size / parts) * parts}"
        )


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

    A side that the mesh axis does not divide is left whole: 10 classes on 8 devices
    are replicated, which costs little, instead of refused. What ``fsdp`` has not cut by
    then it cuts along the longest side that it divides: the biases of the MLP, the
    width of a model that is too narrow, a convolution.
    """
    entries: list[tuple[str, ...] | None] = []
    used: set[str] = set()
    for name, side in zip(names, shape, strict=True):
        cut = tuple(a for a in RULES.get(name or "", ()) if mesh.shape[a] > 1)
        if not cut or used & set(cut) or side % math.prod(mesh.shape[a] for a in cut):
            entries.append(None)
            continue
        used.update(cut)
        entries.append(cut)
    if mesh.shape["fsdp"] > 1 and "fsdp" not in used:
        _cut_longest(entries, names, shape, mesh)
    return PartitionSpec(*entries)


def _cut_longest(
    entries: list[tuple[str, ...] | None],
    names: Sequence[str | None],
    shape: Sequence[int],
    mesh: Mesh,
) -> None:
    """Adds ``fsdp`` to the side with the longest part that it divides, if there is one."""
    parts = [
        side // math.prod(mesh.shape[a] for a in cut or ())
        for side, cut in zip(shape, entries, strict=True)
    ]
    # Not across the layers: each step of a scan would fetch its own from one device.
    sides = [i for i, part in enumerate(parts)
             if part % mesh.shape["fsdp"] == 0 and names[i] != "layers"]  # fmt: skip
    if sides:
        longest = max(sides, key=lambda i: parts[i])
        entries[longest] = (*(entries[longest] or ()), "fsdp")


def bind_mesh(function: Callable[..., T], mesh: Mesh) -> Callable[..., T]:
    """Returns the function with `constrain` meaning this mesh while it is traced."""

    @functools.wraps(function)
    def traced(*args: Any) -> T:
        token = _mesh.set(mesh)
        try:
            return function(*args)
        finally:
            _mesh.reset(token)

    return traced


def constrain(x: jax.Array, names: Sequence[str | None]) -> jax.Array:
    """Says how the residual stream is cut: by `STREAM`, where the mesh divides a side.

    Without it XLA may let the stream inherit the cut of the parameters, and gather
    activations in the place of weights. A model names axes; what they mean is
    `bind_mesh`'s affair, and outside of it nothing.
    """
    mesh = _mesh.get()
    if mesh is None:
        return x
    cuts = [STREAM.get(name or "", ()) for name in names]
    spec = [
        cut if cut and side % math.prod(mesh.shape[a] for a in cut) == 0 else None
        for cut, side in zip(cuts, x.shape, strict=True)
    ]
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    return jax.lax.with_sharding_constraint(x, sharding)


_mesh: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar(
    "mesh", default=None
)


def shard_abstract(abstract_tree: Any, axes: Axes, mesh: Mesh) -> Any:
    """Returns the abstract tree with a sharding on each array; scalars are whole."""

    def with_sharding(path: tuple[Any, ...], leaf: Any) -> jax.ShapeDtypeStruct:
        spec = PartitionSpec()
        if leaf.ndim:
            names = find_logical_axes(format_path(path), leaf.ndim, axes)
            spec = make_partition_spec(names, leaf.shape, mesh)
        sharding = NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree_util.tree_map_with_path(with_sharding, abstract_tree)


def offload_to_host(abstract_tree: Any, mesh: Mesh) -> Any:
    """Returns the laid out tree with every array in the host's memory; scalars stay.

    Raises:
      ConfigError: the devices do not see the host's memory.
    """
    device = mesh.local_devices[0]
    kinds = {memory.kind for memory in device.addressable_memories()}
    if _HOST not in kinds:
        raise ConfigError(
            f"config.optim.offload must be False on {device.platform}, which has no "
            f"{_HOST} memory, got True; cut the moments with --config.mesh.preset=fsdp"
        )

    def move(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        if not leaf.ndim:
            return leaf
        sharding = leaf.sharding.with_memory_kind(_HOST)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(move, abstract_tree)


_HOST = "pinned_host"


def get_shardings(abstract_tree: Any) -> Any:
    """Returns the tree of shardings of what `shard_abstract` made."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract_tree)


def shard_batch(batch: Any, mesh: Mesh) -> Any:
    """Puts this host's rows of a batch onto its devices, as one global array each."""
    sharding = make_batch_sharding(mesh)
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch
    )
