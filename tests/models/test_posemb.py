"""Position embeddings against tables written out, and the properties of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.references import big_vision
from tests.models.tiny import OPTIONS, apply, random_images, random_params, shapes, tiny
from vit_jax.models import posemb


def test_sincos2d_by_hand() -> None:
    """Two patches across, two down, width 8: frequencies 1 and 1/10000."""
    s, c, small = np.sin(1.0), np.cos(1.0), 1e-4
    expected = [
        [0, 0, 1, 1, 0, 0, 1, 1],
        [s, small, c, 1, 0, 0, 1, 1],
        [0, 0, 1, 1, s, small, c, 1],
        [s, small, c, 1, s, small, c, 1],
    ]
    np.testing.assert_allclose(posemb.sincos2d((2, 2), 8), expected, atol=1e-7)


@pytest.mark.parametrize("name", ["gap_sincos_rep", "tok_sincos_scan"])
def test_sincos2d_is_big_visions(name: str) -> None:
    table = big_vision(name).io["sincos2d"][0]
    np.testing.assert_allclose(posemb.sincos2d((4, 4), 32), table, atol=1e-6)


@pytest.mark.parametrize("width", [4, 10])
def test_sincos2d_rejects_a_width(width: int) -> None:
    with pytest.raises(ValueError, match="hidden_size must be a multiple of 4"):
        posemb.sincos2d((2, 2), width)


def test_rows_and_columns_are_joined() -> None:
    rows = jnp.array([[[1.0], [2.0]]])
    columns = jnp.array([[[10.0], [20.0], [30.0]]])
    expected = [[[10, 1], [20, 1], [30, 1], [10, 2], [20, 2], [30, 2]]]
    joined = posemb.join_rows_and_columns(rows, columns)
    np.testing.assert_array_equal(joined, expected)


def test_rotation_by_hand() -> None:
    """A quarter turn takes (1, 0) to (0, 1) in each pair; no turn leaves it."""
    x = jnp.array([[[[1.0, 0.0, 2.0, 3.0]]]])
    angles = jnp.array([[np.pi / 2, 0.0]])
    expected = [[[[0, 1, 2, 3]]]]
    np.testing.assert_allclose(posemb.rotate(x, angles), expected, atol=1e-6)


def test_rope2d_sees_the_difference_of_positions_alone() -> None:
    """All tokens alike: the logit of two patches depends on their offset only."""
    height, width = 3, 4
    angles = jnp.asarray(posemb.rope2d_angles((height, width), 8))
    q, k = jax.random.normal(jax.random.key(0), (2, 8))
    shape = (1, height * width, 1, 8)
    q, k = (posemb.rotate(jnp.broadcast_to(v, shape), angles)[0, :, 0] for v in (q, k))
    logits = (q @ k.T).reshape(height, width, height, width)
    by_offset: dict[tuple[int, int], list[float]] = {}
    for y, x, v, u in np.ndindex(*logits.shape):
        by_offset.setdefault((y - v, x - u), []).append(float(logits[y, x, v, u]))
    assert len(by_offset) == 5 * 7
    assert max(max(same) - min(same) for same in by_offset.values()) < 1e-5
    means = [np.mean(same) for same in by_offset.values()]
    assert len(np.unique(np.round(means, 3))) == 5 * 7  # and each offset is another


def test_rope2d_leaves_the_prefix() -> None:
    angles = posemb.rope2d_angles((2, 2), 8, num_prefix=3)
    assert angles.shape == (7, 4)
    np.testing.assert_array_equal(angles[:4], np.zeros((4, 4)))  # and patch (0, 0)
    np.testing.assert_allclose(angles[4], [1, 0.1, 0, 0])  # one to the right
    np.testing.assert_allclose(angles[5], [0, 0, 1, 0.1])  # one down
    with pytest.raises(ValueError, match="must be a multiple of 4, got 6"):
        posemb.rope2d_angles((2, 2), 6)


def test_relative_bias_by_hand() -> None:
    """Three tokens, one head of width 1: row i meets the offsets i, i - 1, i - 2."""
    table = jnp.array([[1.0], [2.0], [3.0], [4.0], [5.0]])  # offsets -2 ... 2
    q = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    expected = [[3, 2, 1], [40, 30, 20], [500, 400, 300]]
    np.testing.assert_allclose(
        posemb.relative_bias(q, table)[0, 0], expected, rtol=1e-6
    )
    four = posemb.relative_bias(
        jnp.ones((1, 3, 2, 4)), jnp.broadcast_to(table, (5, 4))
    )  # scaled by sqrt(4): the sum of 4 features is twice one of them
    np.testing.assert_allclose(four[0, 1, 2], [10, 8, 6], rtol=1e-6)


def test_parameters_of_each_kind() -> None:
    """What each kind adds to a model without positions, 3 x 3 patches and a class token."""
    none = set(shapes(OPTIONS["none"]))
    block = "Transformer/encoderblock_{}/MultiHeadDotProductAttention_0/"
    table = "Transformer/posembed_input/"
    expected = {
        "learned": {table + "pos_embedding": (1, 10, 16)},
        "learned2d": {
            table + "pos_embedding_rows": (1, 3, 8),
            table + "pos_embedding_columns": (1, 3, 8),
        },
        "sincos2d": {},
        "relative": {block.format(i) + "relative_embedding": (19, 8) for i in (0, 1)},
        "rope2d": {},
        "none": {},
    }
    for kind in posemb.POSEMBS:
        found = shapes(tiny(posemb=kind))
        added = {path: found[path].shape for path in found if path not in none}
        assert added == expected[kind], kind


def test_which_kinds_know_the_order_of_the_patches() -> None:
    """Swapping two patches changes the class token, except without positions."""
    images = random_images((1, 24, 24, 3))
    swapped = images.at[:, :8].set(images[:, 8:16]).at[:, 8:16].set(images[:, :8])
    for kind in posemb.POSEMBS:
        config = tiny(posemb=kind, num_layers=1)
        both = jnp.concatenate([images, swapped])
        a, b = apply(config, random_params(config), both)
        difference = float(jnp.abs(a - b).max())
        assert (difference > 1e-3) == (kind != "none"), (kind, difference)
