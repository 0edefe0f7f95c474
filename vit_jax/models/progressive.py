"""Progressive resizing: a run begins with small images, which take less time.

Reference: Howard and others' DAWNBench entry (2018); Tan and Le, "EfficientNetV2" (2021),
section 4. The step is compiled once per size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vit_jax import models
from vit_jax.config import Config, ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.dimensions import Size
from vit_jax.models.posemb import POSEMBS
from vit_jax.models.positions import TABLE, Positions


def make_size_at(config: Config, total_steps: int) -> Callable[[int], Size]:
    """Returns step -> (height, width) of its images.

    Args:
      config: ``data.progressive`` lists (percent of the run, size of the shorter side)
        in order; before the first entry the size is ``data.image_size``.
      total_steps: of the run.

    Raises:
      ConfigError: a size that is not a multiple of the patch, or a model whose
        parameters fit one size only.
    """
    full = config.data.image_size
    starts = [
        (round(percent / 100 * total_steps), _scaled(full, side))
        for percent, side in config.data.progressive
    ]
    for _, size in starts:
        models.check_image_size(config.model, size)
        if size != full and not _describe_positions(config.model).any_size:
            *others, last = (n for n, k in POSEMBS.items() if k.describe(0).any_size)
            raise ConfigError(
                "config.data.progressive must be () for a model whose parameters fit one "
                f"image size, got {size} for posemb {config.model.posemb} in the family "
                f"{config.model.family or 'vit'}; remove it, or use a ViT with posemb "
                f"{', '.join(others)} or {last}"
            )

    def size_at(step: int) -> Size:
        return next((size for start, size in starts[::-1] if step >= start), full)

    return size_at


def _scaled(full: Size, side: int) -> Size:
    short = min(full)
    return round(full[0] * side / short), round(full[1] * side / short)


def _describe_positions(model: ModelConfig) -> Positions:
    return models.find_family(model).describe_positions(model)


def fit_positions(params: Any, model: ModelConfig, full: Size, size: Size) -> Any:
    """Returns the parameters with a learned table resampled for images of ``size``.

    Bilinear between the tokens' centres, antialiased; gradients flow through it to the
    table.
    """
    positions = _describe_positions(model)
    if size == full or positions.layout != TABLE:
        return params
    down, across = models.find_token_size(model)
    old = full[0] // down, full[1] // across
    new = size[0] // down, size[1] // across
    flat: dict[str, Any] = dict(flatten_dict(params, sep="/"))
    (name,), prefix = positions.arrays, positions.num_prefix
    table = flat[name]
    grid = table[:, prefix:].reshape(1, *old, -1)
    grid = jax.image.resize(grid, (1, *new, grid.shape[-1]), "bilinear")
    grid = grid.reshape(1, new[0] * new[1], -1)
    flat[name] = jnp.concatenate([table[:, :prefix], grid], axis=1)
    return unflatten_dict(flat, sep="/")
