"""Every canonical name of a model, with the shape of its array.

The module is the only source: one layer of it is traced, which computes nothing, and the
shapes of its block are repeated for the others.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vit_jax.config import PLAIN, ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.axes import STACKED
from vit_jax.models.dimensions import Size, require
from vit_jax.models.families import build_model, find_family, resolve_model
from vit_jax.models.inference import Shape
from vit_jax.models.positions import FREE

# Far above any published model, and low enough that tracing costs nothing: a damaged or
# hostile file can claim any size.
_HIGHEST = {
    "patch_size": 2**14,
    "hidden_size": 2**20,
    "num_layers": 10_000,
    "num_heads": 2**20,
    "mlp_dim": 2**22,
    "tokens_mlp_dim": 2**22,
    "representation_size": 2**22,
    "num_registers": 2**16,
    "resnet_width_factor": 2**8,
}
_MOST_STAGES, _MOST_UNITS = 8, 200
_MOST_CLASSES, _MOST_PATCHES, _MOST_ELEMENTS = 2**24, 2**20, 2**44
_FIRST = re.compile(rf"((?:.*/)?(?:{'|'.join(STACKED)}))_0/(.*)")


def find_shapes(
    config: ModelConfig, num_classes: int | None, image_size: Size | None
) -> dict[str, Shape]:
    """Returns name -> shape of every parameter, one entry for each layer.

    Names are those of a loop over the layers, whatever ``config.scan`` is, in the order
    in which the module makes them.

    Args:
        config: of any family.
        num_classes: None: no head.
        image_size: (height, width) in pixels; None: any, for a model whose parameters
            do not depend on it.

    Raises:
        ConfigError: as `resolve_model`; a size that no model has.
    """
    config = resolve_model(config)
    family = find_family(config)
    _check_sizes(config, num_classes)
    token = family.find_token_size(config)
    positions = family.describe_positions(config)
    if positions.layout == FREE or image_size is None:
        image_size = token
    num_patches = math.prod(s // t for s, t in zip(image_size, token, strict=True))
    _check_size("the number of patches", num_patches, _MOST_PATCHES)
    num_layers = require(config.num_layers)
    # Of one layer; what does not change a shape must not split the cache.
    same: dict[str, Any] = {**PLAIN, "dtype": "float32", "variant": None}
    one = dataclasses.replace(config, **same, num_layers=1)
    shapes = _trace_shapes(one, num_classes, image_size)
    num_elements = num_layers * sum(map(math.prod, shapes.values()))
    _check_size("the number of elements", num_elements, _MOST_ELEMENTS)
    return _repeat_layers(shapes, num_layers)


def find_stacked_shapes(
    config: ModelConfig, num_classes: int | None, image_size: Size | None
) -> dict[str, Shape]:
    """Returns name -> shape as a scan over the layers has them; see `find_shapes`."""
    one = find_shapes(
        dataclasses.replace(config, num_layers=1), num_classes, image_size
    )
    num_layers = require(resolve_model(config).num_layers)
    return {
        f"{match[1]}/{match[2]}" if (match := _FIRST.fullmatch(name)) else name: (
            (num_layers, *shape) if match else shape
        )
        for name, shape in one.items()
    }


@functools.lru_cache(maxsize=256)
def _trace_shapes(
    config: ModelConfig, num_classes: int | None, image_size: Size
) -> Mapping[str, Shape]:
    """Returns the shapes of a model as it is, traced on a CPU in a moment."""
    model = build_model(config, num_classes)
    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    shapes: dict[str, Shape] = {}

    def init(images: jax.Array) -> None:
        params: Any = model.init(jax.random.key(0), images, train=False)["params"]
        # In here, as a tree that is returned comes back sorted by name.
        flat: dict[str, Any] = dict(flatten_dict(params, sep="/"))
        shapes.update((name, leaf.shape) for name, leaf in flat.items())

    jax.eval_shape(init, images)
    return shapes


def _repeat_layers(shapes: Mapping[str, Shape], num_layers: int) -> dict[str, Shape]:
    """Returns the shapes with those of layer 0 for each layer, at its place."""
    blocks = [m for m in map(_FIRST.fullmatch, shapes) if m]
    repeated = {
        f"{block[1]}_{i}/{block[2]}": shapes[block[0]]
        for i in range(num_layers)
        for block in blocks
    }
    result: dict[str, Shape] = {}
    for name, shape in shapes.items():
        if name not in repeated:
            result[name] = shape
        elif name not in result:
            result |= repeated
    return result


def _check_sizes(config: ModelConfig, num_classes: int | None) -> None:
    """Checks that no dimension is absurd, before anything is traced."""
    for name, highest in _HIGHEST.items():
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        largest = max((v for v in values if v is not None), default=0)
        _check_size(f"config.model.{name}", largest, highest)
    stages = config.resnet_layers or ()
    _check_size("the number of ResNet stages", len(stages), _MOST_STAGES)
    _check_size("the number of ResNet units", sum(stages), _MOST_UNITS)
    _check_size("num_classes", num_classes or 0, _MOST_CLASSES)


def _check_size(what: str, value: Any, highest: int) -> None:
    if value > highest:
        raise ConfigError(
            f"{what} must be at most {highest}, got {value}; use a smaller model"
        )
