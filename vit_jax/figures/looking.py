"""Where a model looks, as arrays: attention weights, rollout, attention distance."""

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
    """The attention weights of some images; a row of them sums to 1.

    Attributes:
      layers: float32 [l, b, k, n, n]: layer, image, head, from token, to token; tokens
        are the class token and others before the patches, then the patches by rows.
      pooling: float32 [b, k, p], from the probe of a ``map`` head to the p patches;
        None where the model has none.
      grid: patches (down, across).
      num_prefix: tokens before the patches.
      classifier: which token becomes the output; as in `ModelConfig`.
    """

    layers: np.ndarray
    pooling: np.ndarray | None
    grid: tuple[int, int]
    num_prefix: int
    classifier: str


def compute_attention(loaded: Loaded, images: np.ndarray) -> AttentionWeights:
    """Returns the attention weights of every layer and head.

    Args:
      loaded: of `vit_jax.checkpoints.load.load`.
      images: uint8 [b, h, w, 3], as `image_files.read_image` gives them. Memory is
        4 b l k n^2 bytes: 23 MB an image for ViT-B/16 at 224 pixels.

    Raises:
      ConfigError: the model has no attention.
    """
    if loaded.config.family == "mixer":
        raise ConfigError(
            f"attention must be part of the model, got {loaded.name}, a Mixer, which "
            "has none; use the kinds filters, curves, confusion or mistakes"
        )

    batch = -(-len(images) // loaded.mesh.size) * loaded.mesh.size
    padded = np.zeros((batch, *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    on_devices = jax.device_put(padded, make_batch_sharding(loaded.mesh))
    found = jax.device_get(_reader(loaded)(on_devices))
    blocks = found["Transformer"]
    layers = [_weights(blocks[f"encoderblock_{i}"]) for i in range(loaded.num_layers)]
    pooling = _weights(found["MAPHead_0"])[:, :, 0] if "MAPHead_0" in found else None
    return AttentionWeights(
        layers=np.stack(layers)[:, : len(images)],
        pooling=None if pooling is None else pooling[: len(images)],
        grid=find_grid(loaded, images.shape[1:3]),
        num_prefix=loaded.num_prefix,
        classifier=loaded.config.classifier,
    )


@functools.lru_cache(maxsize=1)  # compiled once for all images of a model
def _reader(loaded: Loaded) -> Callable[[Any], Any]:
    def read(params: Any, inputs: jax.Array) -> Any:
        _, state = loaded.model.apply(
            {"params": params}, inputs, train=False, mutable="attention"
        )
        return state["attention"]

    return make_function(loaded, read)


def _weights(module: Any) -> np.ndarray:
    return module["MultiHeadDotProductAttention_0"]["weights"][0]


def compute_attention_maps(found: AttentionWeights) -> np.ndarray:
    """Returns how each head of each layer looks at the image: [l, b, k, y, x].

    From the class token where it is the output, otherwise from the patches, as their
    mean. What goes to the class token itself is left out: a map sums to 1 at most.
    """
    rows = found.layers[..., _output_rows(found), :].mean(axis=-2)
    return _on_grid(rows[..., found.num_prefix :], found.grid)


def compute_rollout(layers: np.ndarray) -> np.ndarray:
    """Returns how much of each token of the input is in each of the output: [b, n, n].

    Attention rollout, Abnar and Zuidema 2020 (arXiv:2005.00928), equation 1 and section 3:
    the heads' mean, half of it exchanged for the residual's identity,
    ``A = 0.5 W + 0.5 I``, multiplied over the layers, the last one leftmost.

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
    """Returns from which patches the output comes, by `compute_rollout`: float64 [b, y, x].

    Figure 6 and appendix D.8 of Dosovitskiy et al. 2021 (arXiv:2010.11929), from the class
    token. Where the output is the mean of the patches, so is this; a ``map`` head weighs
    them as its probe does, in the mean over heads.
    """
    product = compute_rollout(found.layers)
    if found.pooling is not None:
        weights = found.pooling.astype(np.float64).mean(axis=1)
        rows = np.einsum("bp,bpn->bn", weights, product[:, found.num_prefix :])
    else:
        rows = product[:, _output_rows(found)].mean(axis=1)
    return _on_grid(rows[:, found.num_prefix :], found.grid)


def compute_attention_distance(
    layers: np.ndarray,
    grid: tuple[int, int],
    token_size: tuple[int, int],
    num_prefix: int,
) -> np.ndarray:
    """Returns how far each head looks, in pixels: the mean over the queries, [l, b, k].

    Figure 7 (right) and appendix D.7 of Dosovitskiy et al. 2021 (arXiv:2010.11929): the
    distance from the centre of the query's patch to that of every other, weighted by the
    attention. Patches only: the weights from a patch to all patches are made to sum to
    1, for the class token is nowhere in the image.

    Args:
      layers: attention weights [l, b, k, n, n].
      grid: patches (down, across).
      token_size: pixels (down, across) of a patch.
      num_prefix: tokens before the patches.
    """
    places = np.indices(grid).reshape(2, -1).T * np.array(token_size, np.float64)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    weights = layers[..., num_prefix:, num_prefix:].astype(np.float64)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("lbkqp,qp->lbk", weights, distance) / len(places)


def compute_mean_attention_distance(loaded: Loaded, images: np.ndarray) -> np.ndarray:
    """Returns the attention distance in pixels, the mean over images: [l, k].

    Args:
      loaded: of `vit_jax.checkpoints.load.load`.
      images: uint8 [b, h, w, 3]; the paper takes 128. Their weights are held a few at a
        time.

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


def _output_rows(found: AttentionWeights) -> slice:
    """Which tokens the output is read from."""
    if found.classifier in ("token", "token_unpooled"):
        return slice(0, 1)
    return slice(found.num_prefix, None)


def _on_grid(patches: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return rearrange(patches, "... (y x) -> ... y x", y=grid[0], x=grid[1])
