"""Losses against formulas written out."""

import jax.numpy as jnp
import numpy as np

from vit_jax.objectives.losses import make_targets, sigmoid_loss, softmax_loss

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]], np.float32)
TARGETS = np.array([[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]], np.float32)


def test_targets_are_smoothed_towards_uniform():
    got = make_targets(jnp.array([2, 0]), 4, smoothing=0.2)
    np.testing.assert_allclose(
        got, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6
    )


def test_softmax_loss():
    x = LOGITS.astype(np.float64)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    got = softmax_loss(jnp.asarray(LOGITS), jnp.asarray(TARGETS))
    np.testing.assert_allclose(got, -(TARGETS * log_p).sum(1), rtol=1e-6)


def test_sigmoid_loss():
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = -(TARGETS * np.log(p) + (1 - TARGETS) * np.log(1 - p)).sum(1)
    got = sigmoid_loss(jnp.asarray(LOGITS), jnp.asarray(TARGETS))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
