"""An opened checkpoint's arrays, read and placed on the devices of a mesh."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax import models
from vit_jax.checkpoints.files.orbax_files import read_sharded
from vit_jax.checkpoints.lazy import Lazy, Stored
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.stacked import stack_layers
from vit_jax.checkpoints.trees import nest
from vit_jax.config import MeshConfig, ModelConfig
from vit_jax.mesh.axes import format_path
from vit_jax.mesh.sharding import make_mesh, shard_abstract


def place_params(
    checkpoint: Checkpoint, mesh: Mesh | None = None, *, scan: bool = False
) -> Any:
    """Reads the arrays and places each on its devices; nested, float32.

    Arrays of a run of ours are read shard by shard; of other files the host holds one
    array at a time.

    Args:
        checkpoint: its model's `models.find_axes` say how each array is sharded.
        mesh: None: the first device.
        scan: stacks the layers, as a model with ``scan`` has them.

    Raises:
        ConfigError: an array is damaged.
    """
    mesh = mesh or make_mesh(MeshConfig(), jax.local_devices()[:1])
    tensors = dict(checkpoint.tensors)
    tensors = stack_layers(tensors) if scan else tensors
    wanted = _shard(tensors, checkpoint.model, mesh)
    stored = {name: t.stored for name, t in tensors.items() if t.stored}
    placed = _place_stored(stored, wanted, mesh)
    for name, tensor in tensors.items():
        if name not in placed:
            placed[name] = _place(tensor, wanted[name].sharding)
    return nest({name: placed[name] for name in tensors})


def _shard(
    tensors: Mapping[str, Lazy], model: ModelConfig, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns name -> shape, float32 and sharding."""
    shapes = {k: jax.ShapeDtypeStruct(t.shape, np.float32) for k, t in tensors.items()}
    sharded = shard_abstract(nest(shapes), models.find_axes(model), mesh)
    leaves = jax.tree_util.tree_leaves_with_path(sharded)
    return {format_path(path): leaf for path, leaf in leaves}


def _place(tensor: Lazy, sharding: jax.sharding.Sharding) -> jax.Array:
    array = np.asarray(np.asarray(tensor), np.float32)
    # Not device_put, which compares the array between all hosts.
    part: Callable[[Any], np.ndarray] = array.__getitem__
    placed = jax.make_array_from_callback(array.shape, sharding, part)
    return placed.block_until_ready()  # so that the host's copy can go


def _place_stored(
    stored: Mapping[str, tuple[Stored, ...]],
    wanted: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh,
) -> dict[str, jax.Array]:
    """Reads arrays of Orbax's; stacks layers, or takes them apart, on the devices."""
    needed: dict[Path, dict[str, jax.ShapeDtypeStruct]] = {}
    for name, sources in stored.items():
        for source in sources:
            sharding = _shard_source(sources, wanted[name].sharding.spec, mesh)
            needed.setdefault(source.folder, {})[source.name] = jax.ShapeDtypeStruct(
                source.shape, np.float32, sharding=sharding
            )
    found = {folder: read_sharded(folder, arrays) for folder, arrays in needed.items()}
    placed: dict[str, jax.Array] = {}
    changed: dict[str, tuple[Stored, ...]] = {}
    for name, sources in stored.items():
        if len(sources) == 1 and sources[0].layer is None:
            placed[name] = found[sources[0].folder][sources[0].name]
        else:
            changed[name] = sources

    def assemble(found: Any) -> dict[str, jax.Array]:
        return {name: _assemble(sources, found) for name, sources in changed.items()}

    if changed:
        shardings = {name: wanted[name].sharding for name in changed}
        placed |= jax.jit(assemble, out_shardings=shardings)(found)
    return placed


def _shard_source(
    sources: tuple[Stored, ...], spec: PartitionSpec, mesh: Mesh
) -> NamedSharding:
    """Returns how a stored array is sharded, of which ``spec`` is the result's."""
    first, *others = sources
    if others:  # each is a row of the result
        spec = PartitionSpec(*spec[1:])
    if first.layer is not None:  # the result is a row of it
        spec = PartitionSpec(None, *spec)
    return NamedSharding(mesh, spec)


def _assemble(sources: tuple[Stored, ...], found: Any) -> jax.Array:
    arrays = [found[source.folder][source.name] for source in sources]
    rows = [
        array if source.layer is None else array[source.layer]
        for source, array in zip(sources, arrays, strict=True)
    ]
    return jnp.stack(rows) if len(rows) > 1 else rows[0]
