"""Multiply-adds against those that others have published."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from tests.models.tiny import tiny
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.flops import count_multiply_adds, count_products

# timm, results/benchmark-infer-amp-nchw-pt113-cu117-rtx3090.csv, column infer_gmacs.
# It counts norms, too: a thousandth of a ViT, up to 3 hundredths of a small ResNet.
TIMM = [
    ("ViT-Ti/16", 224, 1.26),
    ("ViT-Ti/16", 384, 4.70),
    ("ViT-S/32", 224, 1.15),
    ("ViT-S/32", 384, 3.45),
    ("ViT-S/16", 224, 4.61),
    ("ViT-S/16", 384, 15.52),
    ("ViT-S/8", 224, 22.44),
    ("ViT-M/16", 224, 8.00),
    ("ViT-B/32", 224, 4.41),
    ("ViT-B/32", 384, 13.06),
    ("ViT-B/16", 224, 17.58),
    ("ViT-B/16", 384, 55.54),
    ("ViT-L/32", 384, 45.31),
    ("ViT-L/16", 224, 61.60),
    ("ViT-L/14", 224, 81.08),
    ("R+ViT-Ti/16", 224, 0.44),
    ("R+ViT-Ti/16", 384, 1.34),
    ("R26+ViT-S/32", 224, 3.56),
    ("R26+ViT-S/32", 384, 10.43),
    ("R26+ViT-B/32", 224, 6.81),
    ("R50+ViT-L/32", 224, 19.58),
    ("R50+ViT-L/32", 384, 57.43),
    ("Mixer-S/32", 224, 1.00),
    ("Mixer-S/16", 224, 3.79),
    ("Mixer-B/32", 224, 3.24),
    ("Mixer-B/16", 224, 12.62),
    ("Mixer-L/32", 224, 11.27),
    ("Mixer-L/16", 224, 44.60),
]


@pytest.mark.parametrize(("variant", "size", "expected"), TIMM)
def test_timm(variant: str, size: int, expected: float) -> None:
    got = count_multiply_adds(ModelConfig(variant=variant), 1000, (size, size)) / 1e9
    tolerance = 0.03 if variant.startswith("R") else 0.004
    assert got == pytest.approx(expected, rel=tolerance, abs=0.01)
    assert got < expected + 0.006


# DeiT III (arXiv:2204.07118), the table of its README; DeiT's distilled B/16 by timm.
@pytest.mark.parametrize(
    ("fields", "size", "expected"),
    [
        ({"variant": "ViT-S/16"}, 224, 4.6),
        ({"variant": "ViT-B/16"}, 224, 17.5),
        ({"variant": "ViT-B/16"}, 384, 55.5),
        ({"variant": "ViT-L/16"}, 384, 191.2),
        ({"variant": "ViT-H/14"}, 224, 167.4),
        ({"variant": "ViT-B/16", "distillation_token": True}, 224, 17.68),
        ({"variant": "ViT-B/16", "classifier": "gap"}, 224, 17.49),  # timm
    ],
)
def test_papers(fields: dict, size: int, expected: float) -> None:
    got = count_multiply_adds(ModelConfig(**fields), 1000, (size, size)) / 1e9
    assert got == pytest.approx(expected, rel=0.004)


def test_by_hand() -> None:
    """Two patches of 4 pixels, width 2, one layer, one head, 3 classes."""
    fields = {
        "patch_size": (2, 2),
        "hidden_size": 2,
        "num_layers": 1,
        "num_heads": 1,
        "mlp_dim": 5,
    }
    embed = 2 * 4 * 3 * 2
    tokens = 3
    attention = 4 * tokens * 4 + 2 * tokens**2 * 2
    mlp = 2 * tokens * 2 * 5
    expected = embed + attention + mlp + 2 * 3
    assert count_multiply_adds(ModelConfig(**fields), 3, (2, 4)) == expected
    assert count_multiply_adds(ModelConfig(**fields), None, (2, 4)) == expected - 6
    three = ModelConfig(**fields, activation="swiglu")
    assert count_multiply_adds(three, 3, (2, 4)) == expected + mlp // 2
    tanh = ModelConfig(**fields, representation_size=7)
    assert count_multiply_adds(tanh, 3, (2, 4)) == expected - 6 + 2 * 7 + 7 * 3


def test_an_unknown_variant() -> None:
    with pytest.raises(ConfigError, match='did you mean "ViT-B/16"'):
        count_multiply_adds(ModelConfig(variant="ViT-B/61"), None, (224, 224))


def test_options_by_hand() -> None:
    """What each option adds to a ViT of 9 patches, width 16, 2 layers, MLP 24."""
    n, d, m, layers, y = 9, 16, 24, 2, 5

    def count(**fields: Any) -> int:
        return count_multiply_adds(tiny(classifier="gap", **fields), y, (24, 24))

    def encoder(tokens: int) -> int:
        block = 4 * tokens * d * d + 2 * tokens**2 * d + tokens * 2 * d * m
        return n * 8 * 8 * 3 * d + layers * block

    assert count() == encoder(n) + d * y
    assert count(posemb="relative") == count() + layers * n * n * d
    assert count(num_registers=4) == encoder(n + 4) + d * y
    for free in (
        {"posemb": "rope2d"},
        {"posemb": "sincos2d"},
        {"qk_norm": True, "pre_norm": True, "fc_norm": True, "layer_scale_init": 0.1},
        {"dropout_rate": 0.1, "stochastic_depth_rate": 0.1, "patch_bias": False},
        {"scan": True, "remat": "full", "dtype": "bfloat16"},
    ):
        assert count(**free) == count(), free

    def heads(classifier: str, **fields: Any) -> int:
        fields |= {"classifier": classifier}
        return count_multiply_adds(tiny(**fields), y, (24, 24))

    pooling = 2 * n * (d * d + d) + 2 * d * d + 2 * d * m  # one query
    assert heads("map") == count() + pooling
    assert heads("unpooled") == encoder(n) + n * d * y
    assert heads("token_unpooled") == encoder(n + 1) + (n + 1) * d * y
    assert heads("token", distillation_token=True) == encoder(n + 2) + 2 * d * y


def test_products_of_any_program() -> None:
    """A scan's are counted each time; what cannot be counted is refused."""
    x = jnp.ones((2, 3, 3))

    def scanned(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda y, _: (jax.nn.relu(y @ y), None), x, None, 7)[0]

    def waited(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x)

    assert count_products(jax.make_jaxpr(jax.jit(scanned))(x).jaxpr) == 7 * 2 * 27
    with pytest.raises(NotImplementedError, match="inside of while"):
        count_products(jax.make_jaxpr(waited)(x).jaxpr)
