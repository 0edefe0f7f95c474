"""3-Augment, colour jitter and erasing on literal values and known distributions."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vit_jax.config import DataConfig
from vit_jax.data.augment import color, prepare_images
from vit_jax.data.augment.erasing import erase_rectangle

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 16, 20, 3), np.uint8)


def test_solarize_is_that_of_pillow() -> None:
    ours = np.asarray(color.solarize(jnp.asarray(IMAGES)))
    pillow = ImageOps.solarize(Image.fromarray(IMAGES[0]), 128)
    np.testing.assert_array_equal(ours[0], np.asarray(pillow))


def test_gray_is_that_of_pillow() -> None:
    ours = np.asarray(color.compute_luma(jnp.asarray(IMAGES, jnp.float32)))[..., 0]
    gray = np.asarray(Image.fromarray(IMAGES[0]).convert("L")).astype(float)
    np.testing.assert_allclose(ours[0], gray, atol=1.0)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.0])
def test_blur_is_a_gaussian(sigma: float) -> None:
    point = np.zeros((1, 25, 25, 1), np.float32)
    point[0, 12, 12] = 255
    blurred = np.asarray(color._blur(jnp.asarray(point), jnp.array([sigma])))
    x = np.arange(-12, 13)
    row = np.exp(-0.5 * (x / sigma) ** 2) * (abs(x) <= 6)
    row /= row.sum()
    expected = 255 * row[:, None] * row
    np.testing.assert_allclose(blurred[0, :, :, 0], expected, atol=1e-3)
    flat = jnp.full((1, 5, 7, 3), 99.0)
    np.testing.assert_allclose(color._blur(flat, jnp.array([2.0])), 99, rtol=1e-5)


def test_three_augment_does_one_of_three_to_each_image() -> None:
    run = jax.jit(color.apply_three_augment)
    solarized = np.asarray(color.solarize(jnp.asarray(IMAGES)))
    counts = np.zeros(3)
    for seed in range(10):
        out = np.asarray(run(IMAGES, jax.random.key(seed)))
        gray = (out == out[..., :1]).all(axis=(1, 2, 3))
        inverted = (out == solarized).all(axis=(1, 2, 3))
        assert not (gray & inverted).any()
        counts += gray.sum(), inverted.sum(), (~gray & ~inverted).sum()
    # 600 draws of 1/3: five standard deviations are 58.
    np.testing.assert_allclose(counts, 200, atol=58)


def test_color_jitter_against_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = (1.2, 0.8, 0.7)
    monkeypatch.setattr(
        jax.random,
        "uniform",
        lambda key, shape, *_: jnp.broadcast_to(
            jnp.array(factors).reshape(3, 1, 1, 1, 1), shape
        ),
    )
    ours = np.asarray(color.jitter_color(jnp.asarray(IMAGES), jax.random.key(0), 0.3))
    image = Image.fromarray(IMAGES[0])
    image = ImageEnhance.Brightness(image).enhance(factors[0])
    image = ImageEnhance.Contrast(image).enhance(factors[1])
    image = ImageEnhance.Color(image).enhance(factors[2])
    # Pillow cuts off the fraction after each of the three.
    difference = np.abs(ours[0].astype(int) - np.asarray(image).astype(int))
    assert difference.max() <= 3
    assert difference.mean() < 1.5


def test_color_jitter_differs_between_images_and_can_do_nothing() -> None:
    flat = np.full((50, 2, 2, 3), 100, np.uint8)
    out = np.asarray(color.jitter_color(jnp.asarray(flat), jax.random.key(0), 0.3))
    levels = out[:, 0, 0, 0]
    assert levels.min() >= 70
    assert levels.max() <= 130
    assert len(set(levels.tolist())) > 20
    same = color.jitter_color(jnp.asarray(IMAGES), jax.random.key(0), 0.0)
    np.testing.assert_array_equal(same, IMAGES)


def test_erasing_fills_one_box_with_noise() -> None:
    zeros = np.zeros((400, 40, 30, 1), np.uint8)
    run = jax.jit(functools.partial(erase_rectangle, probability=0.25))
    out = np.asarray(run(zeros, jax.random.key(0)))[..., 0] > 0
    erased = out.any(axis=(1, 2))
    # 400 draws of 1/4: five standard deviations are 43.
    assert abs(erased.sum() - 100) < 43
    shares = []
    for mask in out[erased]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.9  # but for noise that happens to be 0
        shares.append(box.size / mask.size)
    assert min(shares) > 0.01
    assert max(shares) < 0.36
    assert 0.13 < np.mean(shares) < 0.22


def test_erasing_always_and_never() -> None:
    images = jnp.asarray(IMAGES)
    np.testing.assert_array_equal(
        erase_rectangle(images, jax.random.key(0), 0.0), IMAGES
    )
    changed = (
        np.asarray(erase_rectangle(images, jax.random.key(0), 1.0)) != IMAGES
    ).any((1, 2, 3))
    assert changed.mean() > 0.95


def test_config_switches_each_on() -> None:
    data = DataConfig(source="digits", image_size=(16, 20), batch_size=60, flip=False)
    plain = prepare_images(jnp.asarray(IMAGES), None, data, True)
    for change in ({"augment": "three"}, {"color_jitter": 0.3}, {"erasing": 0.5}):
        changed = dataclasses.replace(data, **change)
        out = prepare_images(jnp.asarray(IMAGES), jax.random.key(0), changed, True)
        assert out.shape == plain.shape
        assert out.dtype == plain.dtype
        assert (np.asarray(out) != np.asarray(plain)).any()
        untouched = prepare_images(jnp.asarray(IMAGES), None, changed, False)
        np.testing.assert_array_equal(untouched, plain)
