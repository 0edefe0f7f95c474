"""On the device, inside the jitted step: flip, and uint8 -> the range of the weights."""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from vit_jax.config import DataConfig, PerChannel, Preprocessing
from vit_jax.config.choices import AUGMENTATIONS
from vit_jax.data.augment.color import jitter_color
from vit_jax.data.augment.erasing import erase_rectangle


class Augment(Protocol):
    """Changes images on the device, inside the jitted step: ``config.data.augment``.

    It is a function of the images and the key alone, so that a resumed run draws what
    it would have drawn.
    """

    def __call__(
        self, images: UInt8[Array, "b h w c"], key: jax.Array
    ) -> UInt8[Array, "b h w c"]:
        """Returns the images, of the same shape, each changed at random."""
        ...


def prepare_images(
    images: UInt8[Array, "b h w c"],
    key: jax.Array | None,
    data: DataConfig | Preprocessing,
    train: bool,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "b h w c"]:
    """Returns the images as the model takes them; in training, some are mirrored.

    Args:
      images: pixels in 0..255, as the loader gives them.
      key: of this step; needed only where something is drawn.
      data: gives ``value_range``, ``mean``, ``std`` and, in training, ``flip``,
        ``augment``, ``color_jitter`` and ``erasing``, which are done in this order.
      train: False leaves out all that is random.
      dtype: of the result; the arithmetic is float32 whatever it is.
    """
    if train and isinstance(data, DataConfig):
        images = _change(images, key, data)
    return scale_images(images, data.value_range, data.mean, data.std, dtype)


def _change(
    images: UInt8[Array, "b h w c"], key: jax.Array | None, data: DataConfig
) -> UInt8[Array, "b h w c"]:
    """Returns the images after all that is random; each operation has its own key."""
    if data.flip:
        images = flip_images(images, _fold(key, 0))
    if data.augment != "none":
        augment: Augment = AUGMENTATIONS.resolve(data.augment)
        images = augment(images, _fold(key, 1))
    if data.color_jitter:
        images = jitter_color(images, _fold(key, 2), data.color_jitter)
    if data.erasing:
        images = erase_rectangle(images, _fold(key, 3), data.erasing)
    return images


def _fold(key: jax.Array | None, number: int) -> jax.Array:
    assert key is not None, "augmentation needs a key"
    return jax.random.fold_in(key, number)


def keep_images(
    images: UInt8[Array, "b h w c"], key: jax.Array
) -> UInt8[Array, "b h w c"]:
    """Returns the images as they are."""
    del key
    return images


def flip_images(
    images: UInt8[Array, "b h w c"], key: jax.Array
) -> UInt8[Array, "b h w c"]:
    """Returns the images, each mirrored left to right with probability 1/2."""
    mirrored = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def scale_images(
    images: UInt8[Array, "b h w c"],
    value_range: tuple[float, float],
    mean: PerChannel = (0.0, 0.0, 0.0),
    std: PerChannel = (1.0, 1.0, 1.0),
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "b h w c"]:
    """Returns the images with 0 mapped to the range's low end and 255 to its high end.

    For (-1, 1) this is the original's ``(image - 127.5) / 127.5``, up to the last bit:
    XLA multiplies by the reciprocal. Then, for (0, 1) as torchvision does it, the mean
    of each channel is subtracted and its standard deviation divided by.
    """
    low, high = value_range
    step = 255.0 / (high - low)
    scaled = (images.astype(jnp.float32) + low * step) / step
    if any(mean):
        scaled -= jnp.asarray(mean, jnp.float32).reshape(1, 1, 1, -1)
    if any(value != 1 for value in std):
        scaled /= jnp.asarray(std, jnp.float32).reshape(1, 1, 1, -1)
    return scaled.astype(dtype)
