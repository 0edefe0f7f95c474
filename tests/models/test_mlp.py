"""The activations against their definitions, in float64."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import OPTIONS, shapes
from vit_jax.models.mlp import activate

X = np.linspace(-4, 4, 17)
ERF = np.array([math.erf(x / math.sqrt(2)) for x in X])
TANH = np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("gelu", X * (1 + ERF) / 2),
        ("gelu_tanh", X * (1 + TANH) / 2),
        ("quick_gelu", X / (1 + np.exp(-1.702 * X))),
    ],
)
def test_activation(activation: str, expected: np.ndarray) -> None:
    got = activate(jnp.asarray(X, jnp.float32), activation)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_swiglu_gates_the_second_half_with_the_first() -> None:
    gate, value = X, X[::-1] + 1
    got = activate(jnp.asarray(np.r_[gate, value], jnp.float32), "swiglu")
    np.testing.assert_allclose(got, gate / (1 + np.exp(-gate)) * value, atol=1e-5)
    found = shapes(OPTIONS["swiglu"])
    block = "Transformer/encoderblock_0/MlpBlock_0"
    assert found[f"{block}/Dense_0/kernel"].shape == (16, 48)
    assert found[f"{block}/Dense_1/kernel"].shape == (24, 16)


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r'activation must be one of .*, got "relu"'):
        activate(jnp.ones((1, 2)), "relu")
