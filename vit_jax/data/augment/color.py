"""Colour augmentation on the device: 3-Augment and colour jitter, per image.

All functions take uint8 images [b, h, w, 3] and a key, and give uint8 images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

# ITU-R 601-2 luma, as Pillow and torchvision weigh red, green and blue.
_LUMA = (0.299, 0.587, 0.114)

_BLUR_RADIUS = (0.1, 2.0)  # standard deviation in pixels, uniform
_BLUR_REACH = 6  # pixels to each side: three of the largest standard deviations

Images = UInt8[Array, "b h w 3"]


def apply_three_augment(images: Images, key: jax.Array) -> Images:
    """Returns each image in grayscale, solarized or blurred: one of them, at random.

    Reference: Touvron, Cord and Jégou, "DeiT III: Revenge of the ViT", section 3.2
    (its code: grayscale, solarization from 128, Gaussian blur with radius 0.1 to 2).
    """
    choose_key, blur_key = jax.random.split(key)
    choice = jax.random.randint(choose_key, (images.shape[0], 1, 1, 1), 0, 3)
    sigma = jax.random.uniform(blur_key, (images.shape[0],), jnp.float32, *_BLUR_RADIUS)
    values = images.astype(jnp.float32)
    changed = jnp.where(choice == 0, compute_luma(values), _blur(values, sigma))
    return jnp.where(choice == 1, solarize(images), round_to_uint8(changed))


def solarize(images: Images, threshold: int = 128) -> Images:
    """Returns the images with all values from the threshold up inverted."""
    return jnp.where(images < threshold, images, 255 - images)


def jitter_color(images: Images, key: jax.Array, strength: float) -> Images:
    """Returns the images with other brightness, contrast and saturation, in this order.

    Each is scaled by a factor uniform in ``1 - strength`` to ``1 + strength``, around
    black, the image's mean gray and each pixel's gray. (torchvision's ColorJitter, but
    for the order, which it draws for each image.)
    """
    shape = (3, images.shape[0], 1, 1, 1)
    factors = jax.random.uniform(
        key, shape, jnp.float32, max(0.0, 1 - strength), 1 + strength
    )
    values = jnp.clip(images.astype(jnp.float32) * factors[0], 0, 255)
    mean = compute_luma(values).mean(axis=(1, 2, 3), keepdims=True)
    values = jnp.clip(mean + (values - mean) * factors[1], 0, 255)
    gray = compute_luma(values)
    return round_to_uint8(gray + (values - gray) * factors[2])


def compute_luma(values: Float[Array, "b h w 3"]) -> Float[Array, "b h w 1"]:
    weights = jnp.asarray(_LUMA, jnp.float32).reshape(1, 1, 1, 3)
    return (values * weights).sum(axis=-1, keepdims=True)


def _blur(
    values: Float[Array, "b h w c"], sigma: Float[Array, " b"]
) -> Float[Array, "b h w c"]:
    """Returns the Gaussian blur of each image; edges are repeated outwards."""
    offsets = jnp.arange(-_BLUR_REACH, _BLUR_REACH + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (offsets[None] / sigma[:, None]) ** 2)
    weights = (weights / weights.sum(axis=1, keepdims=True))[..., None, None, None]
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (_BLUR_REACH, _BLUR_REACH)
        padded = jnp.pad(values, pad, mode="edge")
        size = values.shape[axis]
        values = sum(
            (
                weights[:, i] * jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
                for i in range(2 * _BLUR_REACH + 1)
            ),
            start=jnp.zeros_like(values),
        )
    return values


def round_to_uint8(values: Float[Array, "b h w c"]) -> UInt8[Array, "b h w c"]:
    return jnp.clip(jnp.round(values), 0, 255).astype(jnp.uint8)
