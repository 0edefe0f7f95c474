"""What the device does to a batch of uint8 images."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.config import DataConfig
from vit_jax.data.augment import prepare_images
from vit_jax.data.augment.device import scale_images

DATA = DataConfig(source="digits", image_size=(4, 6), batch_size=64)
IMAGES = np.random.default_rng(0).integers(0, 256, (64, 4, 6, 3), np.uint8)


@functools.partial(jax.jit, static_argnames=("data", "train", "dtype"))
def run(images, key, *, data, train, dtype=jnp.float32):
    return prepare_images(images, key, data, train, dtype)


def test_scaling_is_that_of_the_original_up_to_a_bit() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    out = run(every, None, data=DATA.preprocessing, train=False)
    expected = (every.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, rtol=0, atol=2**-24)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-2.0, 3.0)])
def test_ends_of_the_range(value_range: tuple[float, float]) -> None:
    data = dataclasses.replace(DATA, value_range=value_range)
    ends = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    out = run(ends, None, data=data, train=False).ravel()
    np.testing.assert_allclose(out, value_range, atol=1e-6)


def test_mean_and_std_of_each_channel() -> None:
    """torchvision's ``(image / 255 - mean) / std``."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    data = dataclasses.replace(DATA, value_range=(0.0, 1.0), mean=mean, std=std)
    out = run(IMAGES, None, data=data.preprocessing, train=False)
    expected = (IMAGES / 255 - mean) / std
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-6)


def test_without_mean_and_std_nothing_is_added() -> None:
    """The program of the default range has not one operation more."""
    images = jnp.zeros((1, 2, 2, 3), jnp.uint8)
    plain = jax.make_jaxpr(lambda x: scale_images(x, (-1.0, 1.0)))(images)
    assert [str(e.primitive) for e in plain.eqns] == [
        "convert_element_type",
        "add",
        "div",
    ]


def test_dtype() -> None:
    out = run(IMAGES, None, data=DATA, train=False, dtype=jnp.bfloat16)
    assert out.dtype == jnp.bfloat16


def test_each_image_is_whole_or_mirrored_by_its_own_coin() -> None:
    plain = np.asarray(run(IMAGES, None, data=DATA, train=False))
    keys = jax.random.split(jax.random.key(0), 30)
    flipped = 0
    for key in keys:
        out = np.asarray(run(IMAGES, key, data=DATA, train=True))
        same = (out == plain).all(axis=(1, 2, 3))
        mirrored = (out == plain[:, :, ::-1]).all(axis=(1, 2, 3))
        assert (same ^ mirrored).all()
        flipped += mirrored.sum()
    assert 0 < mirrored.sum() < 64
    # 1,920 fair coins: five standard deviations are 110.
    assert abs(flipped - 960) < 110


def test_flip_off() -> None:
    data = dataclasses.replace(DATA, flip=False)
    out = run(IMAGES, jax.random.key(0), data=data, train=True)
    np.testing.assert_array_equal(out, run(IMAGES, None, data=DATA, train=False))
