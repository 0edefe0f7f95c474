"""Losses per example, of float32 logits, on soft targets (so that mixing labels needs none)."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt8


def make_targets(
    labels: Int[Array, " b"] | UInt8[Array, "b y"],
    num_classes: int,
    smoothing: float = 0.0,
) -> Float[Array, "b y"]:
    """Returns one-hot targets, smoothed towards uniform (Szegedy et al. 2016, §7).

    Images with several labels come as rows of zeros and ones, and stay so.
    """
    if labels.ndim == 2:
        return optax.smooth_labels(labels.astype(jnp.float32), smoothing)
    return optax.smooth_labels(jax.nn.one_hot(labels, num_classes), smoothing)


def softmax_loss(
    logits: Float[Array, "b y"], targets: Float[Array, "b y"]
) -> Float[Array, " b"]:
    """Returns the cross-entropy with softmax of each example, in nats."""
    return optax.softmax_cross_entropy(logits, targets)


def sigmoid_loss(
    logits: Float[Array, "b y"], targets: Float[Array, "b y"]
) -> Float[Array, " b"]:
    """Returns the sum of the classes' binary cross-entropies (Beyer et al. 2020, §4)."""
    return optax.sigmoid_binary_cross_entropy(logits, targets).sum(axis=-1)
