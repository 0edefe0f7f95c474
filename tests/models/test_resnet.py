"""The hybrids' ResNet: standardised kernels, and the size of its feature map."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import HYBRID, random_images, tiny
from vit_jax import models
from vit_jax.models.resnet import Bottleneck, standardize


def test_standardized_kernel() -> None:
    """Mean 0 and deviation 1 over all inputs of an output channel; 1e-5 is in sight."""
    kernel = 3 * jax.random.normal(jax.random.key(0), (3, 3, 5, 4)) + 7
    out = np.asarray(standardize(kernel.at[..., 3].multiply(1e-6)))
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(out[..., :3].std(axis=(0, 1, 2)), 1, rtol=1e-4)
    deviation = 1e-6 * float(kernel[..., 3].std())
    expected = deviation / (deviation + 1e-5)
    np.testing.assert_allclose(out[..., 3].std(), expected, rtol=1e-2)


def test_a_unit_starts_as_its_shortcut() -> None:
    x = jax.random.uniform(jax.random.key(0), (1, 4, 4, 128))
    unit = Bottleneck(32, (1, 1), jnp.float32)
    out, _ = unit.init_with_output(jax.random.key(1), x)
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize(
    ("layers", "size", "grid"),
    [((), (32, 48), (8, 12)), ((1,), (32, 48), (8, 12)), ((1, 1, 1), (32, 48), (2, 3))],
)
def test_grid(
    layers: tuple[int, ...], size: tuple[int, int], grid: tuple[int, int]
) -> None:
    config = tiny(**HYBRID | {"resnet_layers": layers})
    images = random_images((1, *size, 3))
    state: Any = jax.eval_shape(
        lambda: models.build_model(config, 5).init(
            jax.random.key(0), images, train=False, mutable=True
        )
    )
    assert state["intermediates"]["patch_embedding"][0].shape[1:3] == grid
    tokens = tuple(
        s // t for s, t in zip(size, models.find_token_size(config), strict=True)
    )
    assert tokens == grid
