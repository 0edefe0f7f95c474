"""The model families, and how a `ModelConfig` becomes a module."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError, check_choice
from vit_jax.mesh.sharding import Axes
from vit_jax.models import mixer, resnet, vit
from vit_jax.models.checks import check_values
from vit_jax.models.dimensions import Size
from vit_jax.models.family import CONFIG_FIELDS, Family
from vit_jax.models.heads import needs_class_token
from vit_jax.models.inference import Inferred, Shapes
from vit_jax.models.patches import nearest_multiples
from vit_jax.models.variants import VARIANTS

FAMILIES: dict[str, Family] = {
    "vit": vit.FAMILY,
    "hybrid": resnet.FAMILY,
    "mixer": mixer.FAMILY,
}


def resolve_model(config: ModelConfig) -> ModelConfig:
    """Returns the config with every dimension filled in from its variant, and checked.

    What is given explicitly wins over the variant. Resolving twice changes nothing.

    Raises:
        ConfigError: for an unknown variant or choice (with the closest known one), a
            dimension that is missing or does not fit, a rate outside [0, 1), and a
            field that is set but that this family does not have.
    """
    row = ModelConfig()
    if config.variant is not None:
        check_choice("config.model.variant", config.variant, VARIANTS)
        row = VARIANTS[config.variant]
        if config.family not in (None, row.family):
            raise ConfigError(
                f'config.model.family must be "{row.family}" for the variant '
                f'{config.variant}, got "{config.family}"; leave it out'
            )
    missing = {k for k, v in dataclasses.asdict(config).items() if v is None}
    config = dataclasses.replace(
        config, **{name: getattr(row, name) for name in missing - {"variant"}}
    )
    config = dataclasses.replace(config, family=config.family or "vit")
    _check_fields(config)
    check_values(config)
    return config


def build_model(config: ModelConfig, num_classes: int | None) -> nn.Module:
    """Makes the module of a config; None classes: the model returns its features.

    Raises:
        ConfigError: as `resolve_model`.
    """
    config = resolve_model(config)
    return find_family(config).module(config, num_classes)


def find_family(config: ModelConfig) -> Family:
    """Returns what the family of a config says about itself.

    Raises:
        ConfigError: as `resolve_model`.
    """
    return FAMILIES[str(resolve_model(config).family)]


def find_axes(config: ModelConfig) -> Axes:
    """Returns the table parameter path -> logical axes of a config's family."""
    return find_family(config).axes


def find_token_size(config: ModelConfig) -> Size:
    """Returns how many pixels (down, across) one token covers."""
    return find_family(config).find_token_size(resolve_model(config))


def count_prefix(config: ModelConfig) -> int:
    """Returns how many tokens come before the patches."""
    return find_family(config).count_prefix(config)


def has_class_token(config: ModelConfig) -> bool:
    """Returns whether token 0 is a class token."""
    return count_prefix(config) > 0 and needs_class_token(config)


def describe_model(config: ModelConfig) -> str:
    """Returns the variant's name, or family and width of a model that has none."""
    return config.variant or f"a {config.family or 'vit'} of width {config.hidden_size}"


def check_image_size(config: ModelConfig, image_size: Size) -> None:
    """Checks that the tokens cover the image; the module itself would drop the rest.

    Raises:
        ConfigError: for the first side that does not fit, with the two nearest sizes.
    """
    sides = zip(("height", "width"), image_size, find_token_size(config), strict=True)
    for side, size, unit in sides:
        if size <= 0 or size % unit:
            below, above = nearest_multiples(size, unit)
            raise ConfigError(
                f"image {side} must be a multiple of {unit}, the pixels that a token "
                f"covers, got {size}; use {below} or {above}"
            )


def infer_model(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    """Returns the model that has these arrays.

    Args:
        shapes: of a file, by canonical name.
        given: fields of `ModelConfig` that are known from elsewhere; they win.

    Raises:
        ConfigError: an array is missing that gives a dimension.
    """
    # A hybrid has every array of a ViT, so the last family that fits is the right one.
    fitting = [f for f in FAMILIES.values() if f.marker in shapes] or [vit.FAMILY]
    return fitting[-1].infer(shapes, given)


def _check_fields(config: ModelConfig) -> None:
    """Checks that every required field is given, and no field of another family."""
    check_choice("config.model.family", str(config.family), FAMILIES)
    family = FAMILIES[str(config.family)]
    for name, field in CONFIG_FIELDS.items():
        value = getattr(config, name)
        if name in family.required and value is None:
            raise ConfigError(
                f"config.model.{name} must be given where no variant is, got None; "
                "set it, or config.model.variant"
            )
        if name not in (*family.fields, "variant", "family") and value != field.default:
            raise ConfigError(
                f"config.model.{name} must be {field.default} in the family "
                f"{config.family}, which does not have it, got {value}; leave it out"
            )
