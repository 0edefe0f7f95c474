"""Parameters as arrays to look at: position embeddings and patch filters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax import models
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.errors import ConfigError
from vit_jax.infer.features import find_grid
from vit_jax.models import posemb


def get_position_table(loaded: Loaded) -> np.ndarray:
    """Returns the embedding of each patch's position: float32 [y, x, d].

    Raises:
      ConfigError: the model adds none to its tokens.
    """
    grid = find_grid(loaded, loaded.preprocessing.image_size)
    config = dataclasses.replace(loaded.config, dtype="float32")
    reads_it = "posemb" in models.find_family(config).fields
    if not reads_it or config.posemb not in posemb.ADDED:
        why = f"posemb {config.posemb}" if reads_it else models.describe_model(config)
        raise ConfigError(
            f"position embeddings must be added to the tokens, got {loaded.name} ({why}), "
            "which has no table of them; use another --kind"
        )
    params = loaded.params["Transformer"].get("posembed_input", {})
    num_tokens = loaded.num_prefix + grid[0] * grid[1]
    zeros = jnp.zeros((1, num_tokens, config.hidden_size or 0))
    added = posemb.PositionEmbedding(config).apply({"params": params}, zeros, grid)
    table = np.asarray(jax.device_get(added))[0]
    return table[loaded.num_prefix :].reshape(*grid, -1)


def compute_position_similarity(table: np.ndarray) -> np.ndarray:
    """Returns the cosine similarity of all positions: [y, x, y, x], in [-1, 1].

    Figure 7 (centre) of Dosovitskiy et al. 2021 (arXiv:2010.11929).

    Args:
      table: position embeddings, float [y, x, d].
    """
    grid = table.shape[:2]
    flat = table.reshape(-1, table.shape[-1]).astype(np.float64)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return (flat @ flat.T).reshape(*grid, *grid)


def get_patch_kernel(loaded: Loaded) -> np.ndarray:
    """Returns the filters that are applied to pixels: float32 [p, p, 3, d].

    They belong to the patch embedding; in a hybrid, to the root of its ResNet.
    """
    params: Any = loaded.params
    for name in models.find_family(loaded.config).patches.name.split("/"):
        params = params[name]
    return np.asarray(jax.device_get(params))


def compute_filter_components(
    kernel: np.ndarray, num_components: int = 28
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the principal components of RGB filters, the largest first.

    Figure 7 (left) of Dosovitskiy et al. 2021 (arXiv:2010.11929), which shows 28.

    Args:
      kernel: filters, float [p, p, 3, d].
      num_components: c; at most as many as there are.

    Returns:
      Components, float64 [c, p, p, 3], each of norm 1 and with its largest value
      positive; and the fraction of the variance that each explains, [c].
    """
    side, across, channels, count = kernel.shape
    filters = kernel.reshape(-1, count).T.astype(np.float64)
    _, singular, basis = np.linalg.svd(
        filters - filters.mean(axis=0), full_matrices=False
    )
    # The sign of a component is arbitrary; make it reproducible.
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1)
    basis = basis * np.sign(largest)
    shares = singular**2 / max((singular**2).sum(), 1e-30)
    number = min(num_components, len(basis))
    components = basis[:number].reshape(number, side, across, channels)
    return components, shares[:number]
