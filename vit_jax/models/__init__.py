"""Vision Transformers, hybrids and Mixers, and the way to them from a `ModelConfig`."""

from vit_jax.models.checks import check_devices
from vit_jax.models.families import (
    FAMILIES,
    Axes,
    Family,
    build_model,
    check_image_size,
    find_axes,
    find_token_size,
    resolve_model,
)
from vit_jax.models.mixer import MlpMixer
from vit_jax.models.resnet import HybridViT
from vit_jax.models.variants import VARIANTS
from vit_jax.models.vit import ViT

__all__ = [
    "FAMILIES",
    "VARIANTS",
    "Axes",
    "Family",
    "HybridViT",
    "MlpMixer",
    "ViT",
    "build_model",
    "check_devices",
    "check_image_size",
    "find_axes",
    "find_token_size",
    "resolve_model",
]
