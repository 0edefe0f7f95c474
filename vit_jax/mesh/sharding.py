"""The mesh, and how batches and states are placed on it."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import (
    MESH_AXES,
    RULES,
    Axes,
    find_logical_axes,
    format_path,
    make_partition_spec,
)

_HOST = "pinned_host"


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
    """Returns how many shards a batch has."""
    return math.prod(mesh.shape[axis] for axis in RULES["batch"])


def find_batch_share(mesh: Mesh) -> tuple[int, int]:
    """Returns which share of each batch this host reads, and of how many.

    Hosts whose devices differ only along ``tensor`` read the same share.

    Raises:
      ConfigError: this host's devices do not hold one share: ``tensor`` mixes hosts
        that hold different rows.
    """
    shards = count_batch_shards(mesh)
    rows = mesh.devices.reshape(shards, -1)  # row i of devices holds shard i of a batch
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
    return held[0] // len(held), shards // len(held)


def check_batch_size(batch_size: int, mesh: Mesh, what: str) -> None:
    """Raises ConfigError unless the batch divides over the devices that share it."""
    shards = count_batch_shards(mesh)
    if batch_size % shards:
        raise ConfigError(
            f"{what} must be a multiple of {shards}, the number of devices that share "
            f"a batch, got {batch_size}; try {math.ceil(batch_size / shards) * shards}"
        )


def shard_batch(batch: Any, mesh: Mesh) -> Any:
    """Puts this host's rows of a batch onto its devices, as one global array each."""
    sharding = make_batch_sharding(mesh)
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch
    )


def shard_abstract(abstract_tree: Any, axes: Axes, mesh: Mesh) -> Any:
    """Returns the abstract tree with a sharding on each array; scalars are replicated.

    Args:
      abstract_tree: of `jax.ShapeDtypeStruct`: parameters, or a whole state.
      axes: the table of the parameters' logical axes.
      mesh: of the run.
    """

    def with_sharding(path: tuple[Any, ...], leaf: Any) -> jax.ShapeDtypeStruct:
        spec = PartitionSpec()
        if leaf.ndim:
            names = find_logical_axes(format_path(path), leaf.ndim, axes)
            spec = make_partition_spec(names, leaf.shape, mesh)
        sharding = NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree_util.tree_map_with_path(with_sharding, abstract_tree)


def offload_to_host(abstract_tree: Any, mesh: Mesh) -> Any:
    """Returns the sharded abstract tree with every array in the host's memory.

    Scalars stay on the devices.

    Raises:
      ConfigError: the devices cannot address the host's memory.
    """
    device = mesh.local_devices[0]
    kinds = {memory.kind for memory in device.addressable_memories()}
    if _HOST not in kinds:
        raise ConfigError(
            f"config.optim.offload must be False on {device.platform}, which has no "
            f"{_HOST} memory, got True; shard the optimizer state with "
            "--config.mesh.preset=fsdp"
        )

    def move(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        if not leaf.ndim:
            return leaf
        sharding = leaf.sharding.with_memory_kind(_HOST)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(move, abstract_tree)


def get_shardings(abstract_tree: Any) -> Any:
    """Returns the tree of shardings of what `shard_abstract` made."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract_tree)
