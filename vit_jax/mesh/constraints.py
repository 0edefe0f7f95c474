"""How the residual stream is sharded inside a model that knows no mesh."""

import contextvars
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vit_jax.mesh.axes import RULES

T = TypeVar("T")

# The tokens are sharded over the axis that shards heads and MLP: what stands between
# their products (norms, dropout, the sums) is then neither repeated nor kept on each of
# its devices (Korthikanti et al. 2022, arXiv:2205.05198, section 4.2.2). By
# benchmarks/layout.py this saves a third of the memory and adds no exchange: a sum over
# devices becomes a scattered one and a gathering. Only where they divide: unequal parts
# (197 tokens over 4 devices) exchange seven times as much.
STREAM: dict[str, tuple[str, ...]] = {"batch": RULES["batch"], "tokens": ("tensor",)}

_mesh: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar(
    "mesh", default=None
)


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
    """Shards the residual stream by `STREAM`, where the mesh divides a side.

    Without it XLA may let the stream inherit the sharding of the parameters, and gather
    activations instead of weights. A model names axes; `bind_mesh` gives them meaning,
    and without it nothing is constrained.
    """
    mesh = _mesh.get()
    if mesh is None:
        return x
    axes = [STREAM.get(name or "", ()) for name in names]
    spec = [
        over if over and side % math.prod(mesh.shape[a] for a in over) == 0 else None
        for over, side in zip(axes, x.shape, strict=True)
    ]
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    return jax.lax.with_sharding_constraint(x, sharding)
