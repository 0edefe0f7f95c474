"""Images in another range than the weights were trained for."""

import dataclasses

import numpy as np

from vit_jax import models
from vit_jax.checkpoints.lazy import Lazy, make_lazy
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError


def find_channel_ranges(preprocessing: Preprocessing) -> np.ndarray:
    """Returns what the values 0 and 255 of each channel become: [c 2]."""
    mean, std = (np.array([x]).T for x in (preprocessing.mean, preprocessing.std))
    return (np.array([preprocessing.value_range]) - mean) / std


def is_same_range(one: Preprocessing, other: Preprocessing) -> bool:
    """Returns whether both scale an image to the same values, to rounding."""
    return np.allclose(
        find_channel_ranges(one), find_channel_ranges(other), rtol=1e-6, atol=1e-7
    )


def fold_range(
    tree: dict[str, Lazy],
    model: ModelConfig,
    expected: Preprocessing,
    given: Preprocessing,
) -> ModelConfig:
    """Changes the patch embedding so that images may come in another range.

    Exact, as no patch reaches beyond the image's border.

    Args:
        tree: its patch embedding is replaced.
        model: its config.
        expected: by the weights.
        given: how the images will be scaled.

    Returns:
        The config, which now has a bias.

    Raises:
        ConfigError: the model begins with a padded convolution.
    """
    patches = models.find_family(model).patches
    if not patches.is_plain:
        raise ConfigError(
            "value_range, mean and std must be the checkpoint's own where the first "
            "convolution is padded and standardised, as a hybrid's is, got "
            f"{given.value_range}, {given.mean}, {given.std}; use "
            f"{expected.value_range}, {expected.mean}, {expected.std}"
        )
    low, high = find_channel_ranges(expected).T
    first, last = find_channel_ranges(given).T
    factor = (high - low) / (last - first)
    offset = low - first * factor
    kernel, bias = tree[patches.name], tree.get(patches.bias)

    def scale(x: np.ndarray) -> np.ndarray:
        scaled = np.einsum("yxcd,c->yxcd", x.astype(np.float64), factor)
        return scaled.astype(np.float32)

    def shift(x: np.ndarray) -> np.ndarray:
        whole = np.asarray(kernel).astype(np.float64)
        return (x + np.einsum("yxcd,c->d", whole, offset)).astype(np.float32)

    zeros = make_lazy(np.zeros(kernel.shape[-1:], np.float32))
    tree[patches.name] = kernel.map(scale, dtype=np.float32)
    tree[patches.bias] = (bias or zeros).map(shift, dtype=np.float32)
    return dataclasses.replace(model, patch_bias=True)
