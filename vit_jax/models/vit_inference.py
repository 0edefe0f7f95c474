"""Infers a ViT from the names and shapes of its arrays."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.heads import count_prefix_tokens
from vit_jax.models.inference import (
    Inferred,
    Shapes,
    count_layers,
    find_square_grid,
    name_variant,
)
from vit_jax.models.positions import POSITION
from vit_jax.models.variants import VARIANTS

_BLOCK = "Transformer/encoderblock_0"
_ATTENTION = f"{_BLOCK}/MultiHeadDotProductAttention_0"
_MLP = f"{_BLOCK}/MlpBlock_0"
_HEAD_SIZE = 64  # of every published model but the largest, which VARIANTS knows


def infer_vit(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    """Returns the ViT that has these arrays.

    Args:
        shapes: of the file.
        given: fields of `ModelConfig` that are known from elsewhere; they win.

    Raises:
        ConfigError: an array is missing that gives a dimension.
    """
    fields = _read_fields(shapes)
    fields |= {k: v for k, v in given.items() if v is not None}
    fields.setdefault("activation", "gelu" if shapes.torch else "gelu_tanh")
    if shapes.get(f"{_MLP}/Dense_0/kernel", 2)[1] == 2 * fields["mlp_dim"]:
        fields["activation"] = "swiglu"  # no other has that shape
    heads, notes = _find_num_heads(shapes, fields)
    model = name_variant(ModelConfig(**{**fields, "num_heads": heads}))
    num_classes = shapes.count_classes()
    if POSITION not in shapes:
        return Inferred(model, num_classes, None, notes)
    rows, prefix = shapes.get(POSITION, 3)[1], count_prefix_tokens(model)
    unknown = "posemb_prefix" not in fields and prefix > 0
    # Images are square more often than not, and timm has no rows for registers.
    if (
        unknown
        and find_square_grid(rows)
        and (model.num_registers or not find_square_grid(rows - prefix))
    ):
        model = dataclasses.replace(model, posemb_prefix=False)
        notes += ("the position embedding has rows for the patches alone",)
    num_patches = rows - (prefix if model.posemb_prefix else 0)
    return Inferred(model, num_classes, num_patches, notes)


def _read_fields(shapes: Shapes) -> dict[str, Any]:
    """Returns the fields of the config that an array, or its absence, gives."""
    kernel = shapes.get("embedding/kernel", 4)
    layers = count_layers(shapes, r"Transformer/encoderblock_(\d+)/", shapes.what)
    fields: dict[str, Any] = {
        "family": "vit",
        "patch_size": kernel[:2],
        "hidden_size": kernel[3],
        "num_layers": layers,
        "mlp_dim": shapes.get(f"{_MLP}/Dense_1/kernel", 2)[0],
        "classifier": "token" if "cls" in shapes else "gap",
        "patch_bias": "embedding/bias" in shapes,
        "distillation_token": "dist" in shapes,
        "pre_norm": "Transformer/pre_norm/scale" in shapes,
        "fc_norm": "fc_norm/scale" in shapes,
        "qk_norm": f"{_ATTENTION}/query_ln/scale" in shapes,
    }
    if "MAPHead_0/probe" in shapes:
        fields["classifier"] = "map"
    if "registers" in shapes:
        fields["num_registers"] = shapes.get("registers", 3)[1]
    if "pre_logits/kernel" in shapes:
        fields["representation_size"] = shapes.get("pre_logits/kernel", 2)[1]
    if f"{_BLOCK}/LayerScale_0/scale" in shapes:
        fields["layer_scale_init"] = 1e-5  # of a fresh model; the file's are trained
    return fields


def _find_num_heads(
    shapes: Shapes, fields: Mapping[str, Any]
) -> tuple[int | None, tuple[str, ...]]:
    """Returns the number of heads, and a note where no array gives it."""
    width = fields["hidden_size"]
    if fields.get("num_heads"):
        return fields["num_heads"], ()
    if not shapes.torch:
        return shapes.get(f"{_ATTENTION}/query/kernel", 3)[1], ()
    if fields["qk_norm"]:
        return max(width // shapes.get(f"{_ATTENTION}/query_ln/scale", 1)[0], 1), ()
    dimensions = ("hidden_size", "num_layers", "mlp_dim")
    for name, row in VARIANTS.items():
        if all(getattr(row, f) == fields.get(f) for f in dimensions):
            return row.num_heads, (f"{row.num_heads} heads, as {name} has",)
    if width % _HEAD_SIZE:
        raise ConfigError(
            f"{shapes.what} must come with its number of heads, which this format does "
            f"not hold, as its width {width} is no multiple of {_HEAD_SIZE}; give "
            'num_heads, or put its config.json beside it (timm\'s {"model_args": '
            '{"num_heads": N}}, Hugging Face\'s {"num_attention_heads": N})'
        )
    heads = width // _HEAD_SIZE
    return heads, (f"{heads} heads: {_HEAD_SIZE} features each, as usual",)
