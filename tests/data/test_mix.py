"""Mixup and CutMix: weights that images and targets share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.data.augment.mix import mix_examples

COUNT, SIZE = 400, (20, 30)
# Image i holds i + 1 everywhere, and is of class i: what is mixed in can be read off.
IMAGES = jnp.ones((COUNT, *SIZE, 1)) * jnp.arange(1, COUNT + 1.0).reshape(-1, 1, 1, 1)
TARGETS = jnp.eye(COUNT)
run = jax.jit(mix_examples, static_argnames=("mixup", "cutmix"))


@functools.cache
def mixed(mixup: float, cutmix: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weight of each pixel of its own image, and of its own class."""
    images, targets = run(
        IMAGES, TARGETS, jax.random.key(0), mixup=mixup, cutmix=cutmix
    )
    own = np.arange(1, COUNT + 1.0).reshape(-1, 1, 1)
    weights = (np.asarray(images)[..., 0] - own[::-1]) / (own - own[::-1])
    targets = np.asarray(targets)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)
    shares = targets.diagonal()
    np.testing.assert_allclose(targets[:, ::-1].diagonal(), 1 - shares, atol=1e-6)
    np.testing.assert_allclose(weights.mean(axis=(1, 2)), shares, atol=1e-3)
    return weights, shares


def test_off_changes_nothing() -> None:
    images, targets = mix_examples(IMAGES, TARGETS, jax.random.key(0), 0.0, 0.0)
    assert images is IMAGES
    assert targets is TARGETS


def test_mixup_weighs_whole_images_by_a_beta() -> None:
    weights, shares = mixed(0.4, 0.0)
    assert np.ptp(weights, axis=(1, 2)).max() < 2e-3
    # The larger of the two shares. E[s (1 - s)] of Beta(a, a) is a / (2 (2 a + 1)).
    assert shares.min() >= 0.5
    np.testing.assert_allclose(
        (shares * (1 - shares)).mean(), 0.4 / (2 * 1.8), atol=0.02
    )


def test_cutmix_replaces_one_box() -> None:
    weights, shares = mixed(0.0, 1.0)
    inside = weights < 0.5
    np.testing.assert_allclose(weights, np.where(inside, 0, 1), atol=1e-3)
    for mask in inside:
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    # Clipping at the edges only takes from the box: more is kept than the Beta's 1/2.
    assert 0.55 < shares.mean() < 0.8
    assert shares.min() < 0.2


def test_both_on_gives_each_image_one_of_them() -> None:
    weights, _ = mixed(0.4, 1.0)
    cut = ((weights < 1e-3) | (weights > 1 - 1e-3)).all(axis=(1, 2))
    # 400 coins and the mixups near 1: five standard deviations are 50.
    assert 150 < cut.sum() < 320


def test_one_key_one_result() -> None:
    one, other = (
        run(IMAGES, TARGETS, jax.random.key(seed), mixup=0.2, cutmix=1.0)[0]
        for seed in (1, 1)
    )
    np.testing.assert_array_equal(one, other)
