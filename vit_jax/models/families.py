"""The model families, and the way from a `ModelConfig` to a module."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError, check_choice
from vit_jax.models import mixer, resnet, vit
from vit_jax.models.checks import check_values
from vit_jax.models.mixer import MlpMixer
from vit_jax.models.patches import nearest_multiples
from vit_jax.models.resnet import HybridViT
from vit_jax.models.variants import VARIANTS
from vit_jax.models.vit import ViT

Axes = tuple[tuple[str, tuple[str | None, ...]], ...]


class Family(NamedTuple):
    """A kind of model: its module, and the logical axes of its parameters."""

    module: type[nn.Module]
    axes: Axes

    def fields(self) -> dict[str, dataclasses.Field]:
        """Returns the fields of the module that a `ModelConfig` gives."""
        fields = dataclasses.fields(self.module)
        return {f.name: f for f in fields if f.name in _CONFIG_FIELDS}


FAMILIES: dict[str, Family] = {
    "vit": Family(ViT, vit.AXES),
    "hybrid": Family(HybridViT, resnet.AXES),
    "mixer": Family(MlpMixer, mixer.AXES),
}
_CONFIG_FIELDS = {field.name: field for field in dataclasses.fields(ModelConfig)}


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
    family = FAMILIES[str(config.family)]
    fields = {name: getattr(config, name) for name in family.fields()}
    fields["dtype"] = jnp.dtype(config.dtype)
    return family.module(num_classes=num_classes, **fields)


def find_axes(config: ModelConfig) -> Axes:
    """Returns the table parameter path -> logical axes of a config's family."""
    return FAMILIES[str(resolve_model(config).family)].axes


def find_token_size(config: ModelConfig) -> tuple[int, int]:
    """Returns how many pixels (down, across) one token covers."""
    config = resolve_model(config)
    assert config.patch_size is not None
    down, across = config.patch_size
    if config.resnet_layers is None:
        return down, across
    # The root's convolution and pooling halve, then each stage but the first.
    stride = 4 * 2 ** max(len(config.resnet_layers) - 1, 0)
    return down * stride, across * stride


def check_image_size(config: ModelConfig, image_size: tuple[int, int]) -> None:
    """Checks that the tokens cover the image: the module itself would drop the rest.

    Raises:
        ConfigError: naming for the first side that does not fit the two nearest.
    """
    sides = zip(("height", "width"), image_size, find_token_size(config), strict=True)
    for side, size, unit in sides:
        if size <= 0 or size % unit:
            below, above = nearest_multiples(size, unit)
            raise ConfigError(
                f"image {side} must be a multiple of {unit}, the pixels that a token "
                f"covers, got {size}; use {below} or {above}"
            )


def _check_fields(config: ModelConfig) -> None:
    """Checks that what the family needs is given, and what it lacks is not."""
    check_choice("config.model.family", str(config.family), FAMILIES)
    has = FAMILIES[str(config.family)].fields()
    for name, field in _CONFIG_FIELDS.items():
        value = getattr(config, name)
        if name in has:
            if value is None and has[name].default is dataclasses.MISSING:
                raise ConfigError(
                    f"config.model.{name} must be given where no variant is, got None; "
                    "set it, or config.model.variant"
                )
        elif name not in ("variant", "family") and value != field.default:
            raise ConfigError(
                f"config.model.{name} must be {field.default} in the family "
                f"{config.family}, which does not have it, got {value}; leave it out"
            )
