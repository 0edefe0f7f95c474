"""Attention as arrays: weights, maps, rollout, attention distance."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from einops import rearrange

from vit_jax import models
from vit_jax.checkpoints.load import make_function
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.errors import ConfigError
from vit_jax.infer.features import find_grid
from vit_jax.mesh.sharding import make_batch_sharding


class AttentionWeights(NamedTuple):
    """The attention weights of a batch of images.

    Attributes:
      layers: float32 [l, b, k, n, n]: layer, image, head, query token, key token. The
        weights of a query sum to 1. Tokens are the class token and registers, then the
        patches row by row.
      pooling: weights of a ``map`` head's probe on the patches, float32 [b, k, p]; None
        for other heads.
      grid: number of patches (down, across).
      num_prefix: number of tokens before the patches.
      classifier: how the head pools tokens; as in `ModelConfig`.
    """

    layers: np.ndarray
    pooling: np.ndarray | None
    grid: tuple[int, int]
    num_prefix: int
    classifier: str


def compute_attention(loaded: Loaded, images: np.ndarray) -> AttentionWeights:
    """Returns the attention weights of every layer and head.

    They take 4 b l k n^2 bytes: 23 MB per image for ViT-B/16 at 224 pixels.

    Args:
      loaded: the model; see `vit_jax.checkpoints.load.load`.
      images: uint8 [b, h, w, 3]; see `image_files.read_image`.

    Raises:
      ConfigError: the model has no attention.
    """
    if not models.find_family(loaded.config).has_attention:
        raise ConfigError(
            f"attention must be part of the model, got {loaded.name} "
            f"({models.describe_model(loaded.config)}), which has none; use another --kind"
        )
    batch = -(-len(images) // loaded.mesh.size) * loaded.mesh.size
    padded = np.zeros((batch, *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    on_devices = jax.device_put(padded, make_batch_sharding(loaded.mesh))
    found = jax.device_get(_make_reader(loaded)(on_devices))
    blocks = found["Transformer"]
    layers = [
        _get_weights(blocks[f"encoderblock_{i}"]) for i in range(loaded.num_layers)
    ]
    pooling = (
        _get_weights(found["MAPHead_0"])[:, :, 0] if "MAPHead_0" in found else None
    )
    return AttentionWeights(
        layers=np.stack(layers)[:, : len(images)],
        pooling=None if pooling is None else pooling[: len(images)],
        grid=find_grid(loaded, images.shape[1:3]),
        num_prefix=loaded.num_prefix,
        classifier=loaded.config.classifier,
    )


@functools.lru_cache(maxsize=1)  # compiled once for all images of a model
def _make_reader(loaded: Loaded) -> Callable[[Any], Any]:
    def read(params: Any, inputs: jax.Array) -> Any:
        _, state = loaded.model.apply(
            {"params": params}, inputs, train=False, mutable="attention"
        )
        return state["attention"]

    return make_function(loaded, read)


def _get_weights(module: Any) -> np.ndarray:
    return module["MultiHeadDotProductAttention_0"]["weights"][0]


def compute_attention_maps(found: AttentionWeights) -> np.ndarray:
    """Returns the attention of each layer and head to the patches: [l, b, k, y, x].

    The query is the class token where the head reads it; otherwise maps are the mean over
    the queries of all patches. Attention to the class token and registers is left out, so
    a map may sum to less than 1.
    """
    rows = found.layers[..., _find_output_rows(found), :].mean(axis=-2)
    return _to_grid(rows[..., found.num_prefix :], found.grid)


def compute_rollout(layers: np.ndarray) -> np.ndarray:
    """Returns the attention rollout of each output token on each input token: [b, n, n].

    Abnar and Zuidema 2020 (arXiv:2005.00928), equation 1 and section 3: the product over
    the layers, the last one leftmost, of ``A = 0.5 W + 0.5 I``, where W is the mean of the
    heads' weights and I stands for the residual connection.

    Args:
      layers: attention weights [l, b, k, n, n].
    """
    mean = layers.astype(np.float64).mean(axis=2)
    mixed = 0.5 * mean + 0.5 * np.eye(mean.shape[-1])
    product = mixed[0]
    for layer in mixed[1:]:
        product = layer @ product
    return product


def compute_rollout_maps(found: AttentionWeights) -> np.ndarray:
    """Returns the attention rollout of the model's output on the patches: [b, y, x].

    Figure 6 and appendix D.8 of Dosovitskiy et al. 2021 (arXiv:2010.11929). The rollout is
    float64: that of the class token where the head reads it, and otherwise the mean over
    the patches, weighted by the probe of a ``map`` head (the mean of its heads).
    """
    product = compute_rollout(found.layers)
    if found.pooling is not None:
        weights = found.pooling.astype(np.float64).mean(axis=1)
        rows = np.einsum("bp,bpn->bn", weights, product[:, found.num_prefix :])
    else:
        rows = product[:, _find_output_rows(found)].mean(axis=1)
    return _to_grid(rows[:, found.num_prefix :], found.grid)


def compute_attention_distance(
    layers: np.ndarray,
    grid: tuple[int, int],
    token_size: tuple[int, int],
    num_prefix: int,
) -> np.ndarray:
    """Returns the mean attention distance of each head in pixels: float64 [l, b, k].

    Figure 7 (right) and appendix D.7 of Dosovitskiy et al. 2021 (arXiv:2010.11929): the
    distance between the centres of the query's and the key's patch, averaged with the
    attention weights, and over the queries. Only patches count, since other tokens have no
    location in the image: the weights of each query are renormalised over the patches.

    Args:
      layers: attention weights [l, b, k, n, n].
      grid: number of patches (down, across).
      token_size: size of a patch in pixels (down, across).
      num_prefix: number of tokens before the patches.
    """
    centres = np.indices(grid).reshape(2, -1).T * np.array(token_size, np.float64)
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    weights = layers[..., num_prefix:, num_prefix:].astype(np.float64)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("lbkqp,qp->lbk", weights, distance) / len(centres)


def compute_mean_attention_distance(loaded: Loaded, images: np.ndarray) -> np.ndarray:
    """Returns the mean attention distance over images, in pixels: float64 [l, k].

    Memory holds the weights of a few images at a time.

    Args:
      loaded: the model; see `vit_jax.checkpoints.load.load`.
      images: uint8 [b, h, w, 3]; the paper uses 128.

    Raises:
      ConfigError: the model has no attention.
    """
    size = models.find_token_size(loaded.config)
    step = max(loaded.mesh.size, 4)
    parts = []
    for start in range(0, len(images), step):
        found = compute_attention(loaded, images[start : start + step])
        parts.append(
            compute_attention_distance(found.layers, found.grid, size, found.num_prefix)
        )
    return np.concatenate(parts, axis=1).mean(axis=1)


def _find_output_rows(found: AttentionWeights) -> slice:
    """Returns the tokens that the head reads."""
    if found.classifier in ("token", "token_unpooled"):
        return slice(0, 1)
    return slice(found.num_prefix, None)


def _to_grid(patches: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return rearrange(patches, "... (y x) -> ... y x", y=grid[0], x=grid[1])
