"""Progressive resizing: a run begins with small images, which cost less.

Reference: Howard and others' DAWNBench entry (2018); Tan and Le, "EfficientNetV2" (2021),
section 4. The step is compiled once for each size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vit_jax import models
from vit_jax.config import Config, ModelConfig
from vit_jax.errors import ConfigError

Size = tuple[int, int]  # height, width in pixels

_TABLE = "Transformer/posembed_input/pos_embedding"


def make_size_at(config: Config, total_steps: int) -> Callable[[int], Size]:
    """Returns step -> (height, width) of its images.

    Args:
      config: ``data.progressive`` holds (percent of the run, size of the shorter side)
        in order; before the first and without any the size is ``data.image_size``.
      total_steps: of the run.

    Raises:
      ConfigError: a size that the patch does not divide, or a model whose parameters
        hold for one size alone.
    """
    full = config.data.image_size
    starts = [
        (round(percent / 100 * total_steps), _scaled(full, side))
        for percent, side in config.data.progressive
    ]
    for _, size in starts:
        models.check_image_size(config.model, size)
        if size != full and not _has_any_size(config.model):
            raise ConfigError(
                "config.data.progressive needs a ViT with posemb learned, sincos2d, "
                f"rope2d or none, got {config.model.family or 'vit'} with "
                f'"{config.model.posemb}"; remove it or choose another posemb'
            )

    def size_at(step: int) -> Size:
        return next((size for start, size in starts[::-1] if step >= start), full)

    return size_at


def _scaled(full: Size, side: int) -> Size:
    short = min(full)
    return round(full[0] * side / short), round(full[1] * side / short)


def _has_any_size(model: ModelConfig) -> bool:
    fits = model.posemb in ("learned", "sincos2d", "rope2d", "none")
    return model.family != "mixer" and fits


def fit_positions(params: Any, model: ModelConfig, full: Size, size: Size) -> Any:
    """Returns the parameters with a learned table resampled for images of ``size``.

    Bilinear between the tokens' centres, antialiased; gradients flow through it to the
    table.
    """
    if size == full or model.posemb != "learned":
        return params
    down, across = models.find_token_size(model)
    old = full[0] // down, full[1] // across
    new = size[0] // down, size[1] // across
    flat: dict[str, Any] = dict(flatten_dict(params, sep="/"))
    table = flat[_TABLE]
    prefix = table.shape[1] - old[0] * old[1]
    grid = table[:, prefix:].reshape(1, *old, -1)
    grid = jax.image.resize(grid, (1, *new, grid.shape[-1]), "bilinear")
    grid = grid.reshape(1, new[0] * new[1], -1)
    flat[_TABLE] = jnp.concatenate([table[:, :prefix], grid], axis=1)
    return unflatten_dict(flat, sep="/")
