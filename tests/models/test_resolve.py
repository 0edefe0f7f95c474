"""From a config to a module: what a variant fills in, and what is refused."""

import dataclasses

import pytest

from tests.models.tiny import HYBRID, OPTIONS, tiny
from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError


def test_variant_fills_in_what_is_not_given() -> None:
    config = models.resolve_model(ModelConfig(variant="ViT-B/16", num_layers=3))
    assert config == ModelConfig(
        variant="ViT-B/16",
        family="vit",
        patch_size=(16, 16),
        hidden_size=768,
        num_layers=3,
        num_heads=12,
        mlp_dim=3072,
    )


@pytest.mark.parametrize("name", models.VARIANTS)
def test_resolving_twice_changes_nothing(name: str) -> None:
    config = models.resolve_model(ModelConfig(variant=name))
    assert models.resolve_model(config) == config
    assert models.resolve_model(dataclasses.replace(config, variant=None)) == (
        dataclasses.replace(config, variant=None)
    )


def test_families() -> None:
    made = {
        name: models.build_model(OPTIONS[name], 5)
        for name in ("plain", "hybrid", "mixer")
    }
    assert type(made["plain"]) is models.ViT
    assert type(made["hybrid"]) is models.HybridViT
    assert type(made["mixer"]) is models.MlpMixer


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ModelConfig(variant="ViT-B_16"), r'got "ViT-B_16"; did you mean "ViT-B/16"\?'),
        (ModelConfig(), "patch_size must be given where no variant is, got None; set"),
        (
            tiny(family="vti"),
            r'config.model.family must be one of .*; did you mean "vit"',
        ),
        (tiny(classifier="tokens"), r'got "tokens"; did you mean "token"\?'),
        (tiny(posemb="learnt"), r'got "learnt"; did you mean "learned"\?'),
        (tiny(activation="gelu_tan"), r'did you mean "gelu_tanh"\?'),
        (tiny(dtype="bf16"), 'config.model.dtype must be one of .*, got "bf16"'),
        (
            tiny(dropout_rate=1.0),
            r"dropout_rate must be in \[0, 1\), got 1.0; 0 switches",
        ),
        (tiny(remat="ful"), r'config.model.remat must be .*, got "ful"; did you mean'),
        (tiny(remat="half", scan=True), "half under a scan.*use full, or --config"),
        (tiny(stochastic_depth_rate=-0.1), r"must be in \[0, 1\), got -0.1"),
        (tiny(hidden_size=15), "must be a multiple of 2 for .*, got 15; use 14 or 16"),
        (tiny(hidden_size=12, posemb="rope2d"), "multiple of 8 .* got 12; use 8 or 16"),
        (tiny(hidden_size=18, posemb="sincos2d"), "multiple of 4 .*; use 16 or 20"),
        (
            tiny(hidden_size=4, num_heads=1, posemb="sincos2d"),
            "hidden_size must be at least 8 for posemb sincos2d, got 4; use 8",
        ),
        (tiny(num_layers=0), "num_layers must be at least 1, got 0"),
        (tiny(num_registers=-1), "num_registers must be at least 0, got -1"),
        (tiny(patch_size=(0, 8)), r"patch_size must be at least 1, got \(0, 8\)"),
        (tiny(representation_size=0), "representation_size must be at least 1, got 0"),
        (
            tiny(distillation_token=True, classifier="gap"),
            "distillation_token must be False unless classifier is token",
        ),
        (
            tiny(resnet_layers=(2, 2)),
            r"resnet_layers must be None in the family vit.*got \(2, 2\); leave it out",
        ),
        (tiny(**HYBRID | {"resnet_layers": None}), "resnet_layers must be given"),
        (tiny(**HYBRID | {"resnet_width_factor": 0.3}), "resnet_width_factor must"),
        (
            ModelConfig(variant="Mixer-B/16", posemb="sincos2d"),
            "posemb must be learned in the family mixer, which does not have it",
        ),
        (
            ModelConfig(variant="Mixer-B/16", family="vit"),
            'family must be "mixer" for the variant Mixer-B/16, got "vit"; leave it out',
        ),
    ],
)
def test_refused(config: ModelConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        models.resolve_model(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variant", "size", "message"),
    [
        ("ViT-B/16", (224, 384), None),
        ("ViT-B/16", (224, 230), "width must be a multiple of 16, .* use 224 or 240"),
        ("ViT-L/14", (225, 224), "height must be a multiple of 14, .* use 224 or 238"),
        ("ViT-B/32", (20, 32), "got 20; use 32 or 64"),
        ("ViT-B/16", (0, 32), "got 0; use 16 or 32"),
        ("R50+ViT-B/16", (224, 240), None),
        ("R26+ViT-S/32", (224, 240), "width must be a multiple of 32"),
        ("R+ViT-Ti/16", (224, 240), "width must be a multiple of 32"),
        ("Mixer-L/16", (224, 225), "width must be a multiple of 16"),
    ],
)
def test_image_size(variant: str, size: tuple[int, int], message: str | None) -> None:
    config = ModelConfig(variant=variant)
    if message is None:
        models.check_image_size(config, size)
        return
    with pytest.raises(ConfigError, match=message):
        models.check_image_size(config, size)
