"""Every parameter of every option has one row of logical axes, of its rank."""

import pytest

from tests.models.tiny import OPTIONS, shapes
from vit_jax import models
from vit_jax.mesh.sharding import Axes

NAMES = {
    "embed", "mlp", "heads", "head_dim", "tokens", "classes", "patch_h", "patch_w",
    "channels", None,
}  # fmt: skip


def first_match(path: str, axes: Axes) -> int:
    """Returns the row that holds for a parameter; fails where none does."""
    for i, (suffix, _) in enumerate(axes):
        if f"/{path}".endswith(f"/{suffix}"):
            return i
    raise AssertionError(f"{path} has no row")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_parameter_is_covered(option: str) -> None:
    axes = models.find_axes(OPTIONS[option])
    for path, leaf in shapes(OPTIONS[option]).items():
        names = axes[first_match(path, axes)][1]
        assert len(names) == len(leaf.shape), path
        named = [name for name in names if name is not None]
        assert len(set(named)) == len(named), path


@pytest.mark.parametrize("family", models.FAMILIES)
def test_every_row_is_used(family: str) -> None:
    axes = models.FAMILIES[family].axes
    options = [c for c in OPTIONS.values() if models.resolve_model(c).family == family]
    if family == "hybrid":  # a hybrid has a ViT's rows too
        options += [
            c for c in OPTIONS.values() if models.resolve_model(c).family == "vit"
        ]
    used = {first_match(path, axes) for c in options for path in shapes(c)}
    assert used == set(range(len(axes)))
    assert {name for _, names in axes for name in names} <= NAMES


def test_axes_of_known_parameters() -> None:
    """The dimensions that a wrong table would swap, by eye."""
    config = OPTIONS["plain"]
    axes = models.find_axes(config)
    expected = {
        "embedding/kernel": ("patch_h", "patch_w", "channels", "embed"),
        "Transformer/encoderblock_1/MultiHeadDotProductAttention_0/query/kernel": (
            "embed",
            "heads",
            "head_dim",
        ),
        "Transformer/encoderblock_1/MultiHeadDotProductAttention_0/out/kernel": (
            "heads",
            "head_dim",
            "embed",
        ),
        "Transformer/encoderblock_0/MlpBlock_0/Dense_1/kernel": ("mlp", "embed"),
        "head/kernel": ("embed", "classes"),
    }
    for path, names in expected.items():
        assert axes[first_match(path, axes)][1] == names
