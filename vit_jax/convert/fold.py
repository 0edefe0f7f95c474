"""Images in another range than the weights were trained for."""

import dataclasses

import numpy as np

from vit_jax.config import ConfigError, ModelConfig
from vit_jax.convert.lazy import Lazy, lazy
from vit_jax.convert.record import ChannelRanges

Range = tuple[float, float]


def fold_input_range(
    tree: dict[str, Lazy], model: ModelConfig, ranges: ChannelRanges, wanted: Range
) -> ModelConfig:
    """Changes the patch embedding so that images may come in another range.

    A value that was ``low + t (high - low)`` in a channel, for t from 0 to 1, comes as
    the same t of ``wanted``. Exact, as no patch reaches over the image's border.

    Args:
        tree: its patch embedding is replaced.
        model: its config.
        ranges: of the weights, one for all channels or one for each.
        wanted: what the images will have.

    Returns:
        The config: there is a bias now.

    Raises:
        ConfigError: the model begins with a padded convolution.
    """
    name = "stem" if model.family == "mixer" else "embedding"
    if model.family == "hybrid":
        raise ConfigError(
            "value_range must be the checkpoint's own for a hybrid, whose first "
            f"convolution is padded and standardised, got {wanted}; use {ranges[0]}"
        )
    low, high = np.array(ranges, np.float64).T
    factor = (high - low) / (wanted[1] - wanted[0])
    offset = low - wanted[0] * factor
    kernel, bias = tree[f"{name}/kernel"], tree.get(f"{name}/bias")

    def scale(x: np.ndarray) -> np.ndarray:
        factors = np.broadcast_to(factor, x.shape[2])
        return np.einsum("yxcd,c->yxcd", x.astype(np.float64), factors).astype(
            np.float32
        )

    def shift(x: np.ndarray) -> np.ndarray:
        whole = np.asarray(kernel).astype(np.float64)
        offsets = np.broadcast_to(offset, whole.shape[2])
        moved = np.einsum("yxcd,c->d", whole, offsets)
        return (x.astype(np.float64) + moved).astype(np.float32)

    zeros = lazy(np.zeros(kernel.shape[-1:], np.float32))
    tree[f"{name}/kernel"] = kernel.map(scale, dtype=np.float32)
    tree[f"{name}/bias"] = (bias or zeros).map(shift, dtype=np.float32)
    return dataclasses.replace(model, patch_bias=True)
