"""Features of images: what a model computes before it classifies."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax import models
from vit_jax.checkpoints.load import load_here, make_function
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.config.choices import FEATURES
from vit_jax.errors import ConfigError
from vit_jax.infer.image_files import map_files


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of image files.

    Attributes:
      paths: the images that could be read.
      values: float32 [n, d], one row per path; [n, y, x, d] for the kind ``grid``.
      errors: path of each unreadable image -> why it could not be read.
      kind: a row of `config.choices.FEATURES`.
      layer: index of the layer, counted from 0; None means after the last norm.
    """

    paths: tuple[str, ...]
    values: np.ndarray
    errors: dict[str, str]
    kind: str
    layer: int | None


def extract_features(
    checkpoint: str | Path | Loaded,
    paths: Iterable[str | Path],
    layer: int | None = None,
    kind: str = "features",
    batch_size: int = 32,
) -> Features:
    """Returns features of image files; unreadable files are reported in ``errors``.

    Args:
      checkpoint: a workdir, a checkpoint file of any format, the name of published
        weights, or a model that `load` returned.
      paths: image files.
      layer: index of the layer whose output is returned: from 0, or from -1 backwards;
        None means after the last norm.
      kind: a row of `config.choices.FEATURES`: ``features``, the input of the head, or
        from one layer its class ``token``, the ``mean`` or the ``grid`` of its patches.
      batch_size: images per batch.

    Raises:
      ConfigError: there is no such checkpoint, layer or kind, or ``token`` is asked of
        a model without a class token.

    Example:
      >>> grids = extract_features("runs/digits", ["seven.png"], layer=2, kind="grid")
      >>> grids.values.shape
      (1, 4, 4, 64)
    """
    loaded = checkpoint if isinstance(checkpoint, Loaded) else load_here(checkpoint)
    number = check_layer(loaded, layer, kind)
    function = make_function(loaded, make_feature_function(loaded, layer, kind))
    good, values, errors = [], [], {}
    for path, value, error in map_files(function, loaded, paths, batch_size):
        if error:
            errors[path] = error
        else:
            good.append(path)
            values.append(value)
    empty = np.zeros((0,), np.float32)
    stacked = np.stack(values) if values else empty
    return Features(tuple(good), stacked, errors, kind, number)


def check_layer(loaded: Loaded, layer: int | None, kind: str) -> int | None:
    """Checks a layer and a kind; returns the index of the layer counted from 0.

    Raises:
      ConfigError: as `extract_features`.
    """
    FEATURES.check("kind", kind)
    if kind == "token" and not loaded.has_class_token:
        others = ", ".join(name for name in FEATURES if name != "token")
        raise ConfigError(
            f"kind must be one of {others} for {loaded.name}, which has no class token, "
            'got "token"; use "mean"'
        )
    if layer is None:
        return None
    if kind == "features":
        raise ConfigError(
            f'layer must be left out for kind "features", got {layer}; use the kind '
            '"token", "mean" or "grid"'
        )
    depth = loaded.num_layers
    if not -depth <= layer < depth:
        raise ConfigError(
            f"layer must be between 0 and {depth - 1}, or between -{depth} and -1, got "
            f"{layer}"
        )
    return layer % depth


def make_feature_function(
    loaded: Loaded, layer: int | None = None, kind: str = "features"
) -> Callable[[Any, Any], jax.Array]:
    """Returns ``(params, inputs) -> features``, float32 [b, d] or [b, y, x, d].

    Compiled, the function skips the layers above: the features do not depend on them.

    Raises:
      ConfigError: as `extract_features`.
    """
    layer = check_layer(loaded, layer, kind)

    def features(params: Any, inputs: jax.Array) -> jax.Array:
        _, state = loaded.model.apply(
            {"params": params}, inputs, train=False, mutable="intermediates"
        )
        found: Any = state["intermediates"]
        if kind == "features":
            return found["features"][0].astype(jnp.float32)
        name = "encoded" if layer is None else f"block_{layer}"
        tokens = found.get("Transformer", found)[name][0].astype(jnp.float32)
        if kind == "token":
            return tokens[:, 0]
        patches = tokens[:, loaded.num_prefix :]
        if kind == "mean":
            return patches.mean(axis=1)
        return patches.reshape(len(patches), *find_grid(loaded, inputs.shape[1:3]), -1)

    return features


def find_grid(loaded: Loaded, image_size: tuple[int, ...]) -> tuple[int, int]:
    """Returns the number of patches (down, across) in an image of (height, width)."""
    down, across = models.find_token_size(loaded.config)
    return image_size[0] // down, image_size[1] // across
