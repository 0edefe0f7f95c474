"""Mixup and CutMix on the device: each image mixed with another, and so its target."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "b h w c"]
Targets = Float[Array, "b y"]


def mix_examples(
    images: Images, targets: Targets, key: jax.Array, mixup: float, cutmix: float
) -> tuple[Images, Targets]:
    """Returns images and targets, each mixed with those of the mirrored batch position.

    ``w x_i + (1 - w) x_j``, where ``w`` is a map over the pixels: constant for mixup, 1
    outside a box and 0 inside for CutMix. Targets mix by the mean of ``w``. Every image
    has its own; with both on, half of them get one and half the other.

    Args:
      images: as the model takes them.
      targets: soft.
      key: decides all of it.
      mixup: alpha of Beta(alpha, alpha); 0: off.
      cutmix: the same for CutMix.

    Reference: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018), eq. 2;
    Yun et al., "CutMix" (2019), eq. 1 and 2 and appendix A (the box is clipped, and
    the target follows what is left of it).
    """
    if not mixup and not cutmix:
        return images, targets
    count, height, width, _ = images.shape
    choice_key, mixup_key, cutmix_key = jax.random.split(key, 3)
    weights = jnp.ones((count, height, width), jnp.float32)
    if mixup:
        share = jax.random.beta(mixup_key, mixup, mixup, (count, 1, 1), jnp.float32)
        # Either of the two may be called the first: the larger share stays in place.
        weights = jnp.broadcast_to(jnp.maximum(share, 1 - share), weights.shape)
    if cutmix:
        outside = _mask_outside_box(cutmix_key, cutmix, count, height, width)
        chosen = jax.random.bernoulli(choice_key, 0.5 if mixup else 1.0, (count, 1, 1))
        weights = jnp.where(chosen, outside, weights)
    share = weights.mean(axis=(1, 2))[:, None].astype(targets.dtype)
    weights = weights[..., None].astype(images.dtype)
    return (
        weights * images + (1 - weights) * images[::-1],
        share * targets + (1 - share) * targets[::-1],
    )


def _mask_outside_box(
    key: jax.Array, alpha: float, count: int, height: int, width: int
) -> Float[Array, "b h w"]:
    """Returns 0 in a random box of each image, whose share before clipping is Beta."""
    share_key, position_key = jax.random.split(key)
    kept = jax.random.beta(share_key, alpha, alpha, (count, 1), jnp.float32)
    side = jnp.sqrt(1 - kept)
    centre = jax.random.uniform(position_key, (2, count, 1), jnp.float32)

    def mark_inside(size: int, centre: Array) -> Array:
        half = jnp.floor(size * side) / 2
        middle = jnp.floor(size * centre)
        low = jnp.clip(jnp.floor(middle - half), 0, size)
        high = jnp.clip(jnp.floor(middle + half), 0, size)
        pixel = jnp.arange(size, dtype=jnp.float32)[None]
        return (pixel >= low) & (pixel < high)

    box = (
        mark_inside(height, centre[0])[:, :, None]
        & mark_inside(width, centre[1])[:, None, :]
    )
    return 1 - box.astype(jnp.float32)
