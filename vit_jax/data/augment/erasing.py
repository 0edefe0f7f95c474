"""Random erasing on the device: a box of each image becomes noise."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt8

# The paper's ranges of area and of the aspect ratio, here log-uniform as in timm.
_AREA = (0.02, 0.33)
_ASPECT = (0.3, 1 / 0.3)
_ATTEMPTS = 10


def erase_rectangle(
    images: UInt8[Array, "b h w c"], key: jax.Array, probability: float
) -> UInt8[Array, "b h w c"]:
    """Returns the images, some with a random box full of random values.

    Args:
      images: pixels.
      key: decides which images, which box, which values.
      probability: that an image gets one.

    Reference: Zhong et al., "Random Erasing Data Augmentation", algorithm 1 (RE-R).
    """
    coin_key, box_key, noise_key = jax.random.split(key, 3)
    count = images.shape[0]
    chosen = jax.random.bernoulli(coin_key, probability, (count, 1, 1))
    mask = chosen & _sample_boxes(box_key, count, images.shape[1], images.shape[2])
    noise = jax.random.bits(noise_key, images.shape, jnp.uint8)
    return jnp.where(mask[..., None], noise, images)


def _sample_boxes(
    key: jax.Array, count: int, height: int, width: int
) -> Bool[Array, "b h w"]:
    """Returns one box for each image: of ten drawn, the first that fits, or none."""
    area_key, aspect_key, position_key = jax.random.split(key, 3)
    shape = (count, _ATTEMPTS)
    area = jax.random.uniform(area_key, shape, jnp.float32, *_AREA) * height * width
    log_low, log_high = math.log(_ASPECT[0]), math.log(_ASPECT[1])
    aspect = jnp.exp(
        jax.random.uniform(aspect_key, shape, jnp.float32, log_low, log_high)
    )
    heights = jnp.round(jnp.sqrt(area * aspect))
    widths = jnp.round(jnp.sqrt(area / aspect))
    fits = (heights < height) & (widths < width)
    first = jnp.argmax(fits, axis=1, keepdims=True)
    box_height = jnp.take_along_axis(jnp.where(fits, heights, 0), first, axis=1)
    box_width = jnp.take_along_axis(jnp.where(fits, widths, 0), first, axis=1)
    corner = jax.random.uniform(position_key, (2, count, 1), jnp.float32)
    top = jnp.floor(corner[0] * (height - box_height + 1))
    left = jnp.floor(corner[1] * (width - box_width + 1))
    rows = jnp.arange(height, dtype=jnp.float32)[None]
    columns = jnp.arange(width, dtype=jnp.float32)[None]
    in_rows = (rows >= top) & (rows < top + box_height)
    in_columns = (columns >= left) & (columns < left + box_width)
    return in_rows[:, :, None] & in_columns[:, None, :]
