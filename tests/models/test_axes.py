"""Every parameter of every option has one row of logical axes, of its rank."""

import pytest

from tests.models.tiny import OPTIONS, shapes
from vit_jax import models
from vit_jax.mesh.sharding import Axes, find_logical_axes

NAMES = {
    "embed", "mlp", "heads", "head_dim", "tokens", "classes", "patch_h", "patch_w",
    "channels", None,
}  # fmt: skip


def find_rows(path: str, axes: Axes) -> list[int]:
    """Returns the rows that hold for a parameter."""
    return [i for i, (end, _) in enumerate(axes) if f"/{path}".endswith(f"/{end}")]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_parameter_is_covered(option: str) -> None:
    axes = models.find_axes(OPTIONS[option])
    for path, leaf in shapes(OPTIONS[option]).items():
        (row,) = find_rows(path, axes)  # neither none nor several
        names = axes[row][1]
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
    used = {row for c in options for path in shapes(c) for row in find_rows(path, axes)}
    assert used == set(range(len(axes)))
    assert {name for _, names in axes for name in names} <= NAMES


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_row_names_a_parameter_of_one_module(family: str) -> None:
    """A row such as ``scale`` or ``bias`` would label what nobody thought of."""
    alone = {"cls", "dist", "registers", "pos_embedding", "pos_embedding_rows",
             "pos_embedding_columns", "relative_embedding"}  # fmt: skip
    rows = [end for end, _ in models.FAMILIES[family].axes]
    assert len(set(rows)) == len(rows)
    assert {end for end in rows if "/" not in end} <= alone


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
        "Transformer/encoderblock_1/MultiHeadDotProductAttention_0/key_ln/scale": (
            "head_dim",
        ),
        "Transformer/encoderblock_0/MlpBlock_0/Dense_1/kernel": ("mlp", "embed"),
        "head/kernel": ("embed", "classes"),
    }
    for path, names in expected.items():
        assert find_logical_axes(path, len(names), axes) == names
        assert find_logical_axes(f"0/mu/{path}", len(names), axes) == names


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((("query/bias", ("embed",)),), "no entry of AXES covers a/key/bias"),
        ((("key/bias", ("heads", "head_dim")),), "a/key/bias has rank 1"),
    ],
)
def test_what_the_table_does_not_say_is_refused(axes: Axes, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        find_logical_axes("a/key/bias", 1, axes)
