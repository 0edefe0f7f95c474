"""Vision Transformers, hybrids and Mixers, and the way to them from a `ModelConfig`."""

from vit_jax.config.choices.model import FAMILIES
from vit_jax.models.checks import check_devices
from vit_jax.models.families import (
    build_model,
    check_image_size,
    count_prefix,
    describe_model,
    find_axes,
    find_family,
    find_row,
    find_token_size,
    has_class_token,
    infer_model,
    resolve_model,
)
from vit_jax.models.family import Family
from vit_jax.models.inference import (
    Inferred,
    Shapes,
    count_layers,
    find_square_grid,
)
from vit_jax.models.mixer import MlpMixer
from vit_jax.models.patches import PatchKernel
from vit_jax.models.positions import POSITION, Positions
from vit_jax.models.resnet import HybridViT
from vit_jax.models.shapes import find_shapes
from vit_jax.models.variants import VARIANTS
from vit_jax.models.vit import ViT

__all__ = [
    "FAMILIES",
    "POSITION",
    "VARIANTS",
    "Family",
    "HybridViT",
    "Inferred",
    "MlpMixer",
    "PatchKernel",
    "Positions",
    "Shapes",
    "ViT",
    "build_model",
    "check_devices",
    "check_image_size",
    "count_layers",
    "count_prefix",
    "describe_model",
    "find_axes",
    "find_family",
    "find_row",
    "find_shapes",
    "find_square_grid",
    "find_token_size",
    "has_class_token",
    "infer_model",
    "resolve_model",
]
