"""The model of a file, from the names and shapes of its arrays."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from vit_jax.checkpoints.layout import POSITION, Grid, num_prefix
from vit_jax.checkpoints.lazy import Shape
from vit_jax.checkpoints.trees import count_layers
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.variants import VARIANTS

_BLOCK = "Transformer/encoderblock_0"
_ATTENTION = f"{_BLOCK}/MultiHeadDotProductAttention_0"
_MLP = f"{_BLOCK}/MlpBlock_0"
_DIMENSIONS = ("patch_size", "hidden_size", "num_layers", "mlp_dim", "tokens_mlp_dim")
_HEAD_SIZE = 64  # of every published model but the largest, which VARIANTS knows


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What the arrays alone say."""

    model: ModelConfig
    num_classes: int | None
    num_patches: int | None  # of the position embedding; None where it has none
    notes: tuple[str, ...] = ()


class Shapes:
    """Shapes by canonical name, as the file has them, in the order of axes of flax."""

    def __init__(self, shapes: Mapping[str, Shape], what: str, *, torch: bool):
        self.what, self._shapes, self.torch = what, shapes, torch

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def __iter__(self):
        return iter(self._shapes)

    def get(self, name: str, rank: int) -> Shape:
        """Returns the shape of an array that every model of the kind has.

        Raises:
            ConfigError: it is not there, or has another rank.
        """
        shape = self._shapes.get(name)
        if shape is None or len(shape) != rank or 0 in shape:
            got = "none" if shape is None else f"the shape {shape}"
            raise ConfigError(
                f"{self.what} must have an array {name} with {rank} axes, got {got}; is "
                "the file complete, and of a model that is supported?"
            )
        if not self.torch or not name.endswith("kernel"):
            return shape
        # (out, in) and (out, in, height, width)
        return shape[::-1] if rank == 2 else (*shape[2:], shape[1], shape[0])


def infer(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    """Returns the model that has these arrays.

    Args:
        shapes: of the file.
        given: fields of `ModelConfig` that are known from elsewhere; they win.

    Raises:
        ConfigError: an array is missing that tells a dimension.
    """
    if "stem/kernel" in shapes:
        return _mixer(shapes, given)
    kernel = shapes.get("embedding/kernel", 4)
    fields: dict[str, Any] = {
        "family": "vit",
        "patch_size": kernel[:2],
        "hidden_size": kernel[3],
        "num_layers": count_layers(
            shapes, r"Transformer/encoderblock_(\d+)/", shapes.what
        ),
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
    if "conv_root/kernel" in shapes:
        fields |= _resnet(shapes)
    fields |= {k: v for k, v in given.items() if v is not None}
    fields.setdefault("activation", "gelu" if shapes.torch else "gelu_tanh")
    if shapes.get(f"{_MLP}/Dense_0/kernel", 2)[1] == 2 * fields["mlp_dim"]:
        fields["activation"] = "swiglu"  # no other has that shape
    heads, notes = _num_heads(shapes, fields)
    model = named(ModelConfig(**{**fields, "num_heads": heads}))
    if POSITION not in shapes:
        return Inferred(model, _num_classes(shapes), None, notes)
    rows, prefix = shapes.get(POSITION, 3)[1], num_prefix(model)
    unknown = "posemb_prefix" not in fields and prefix > 0
    # Images are square more often than not, and timm has no rows for registers.
    if unknown and square(rows) and (model.num_registers or not square(rows - prefix)):
        model = dataclasses.replace(model, posemb_prefix=False)
        notes += ("the position embedding has rows for the patches alone",)
    num_patches = rows - (prefix if model.posemb_prefix else 0)
    return Inferred(model, _num_classes(shapes), num_patches, notes)


def square(num_patches: int | None) -> Grid | None:
    """Returns the square grid of so many patches, or None."""
    if num_patches is None or num_patches < 1:
        return None
    side = math.isqrt(num_patches)
    return (side, side) if side * side == num_patches else None


def named(model: ModelConfig) -> ModelConfig:
    """Returns the config with the name of the variant that has these dimensions."""
    fields = (*_DIMENSIONS, "num_heads", "resnet_layers", "resnet_width_factor")
    for name, row in VARIANTS.items():
        same = all(getattr(row, f) == getattr(model, f) for f in fields)
        if same and (row.family or "vit") == (model.family or "vit"):
            return dataclasses.replace(model, variant=name)
    return model


def _num_heads(
    shapes: Shapes, fields: Mapping[str, Any]
) -> tuple[int | None, tuple[str, ...]]:
    """Returns the number of heads; how it was found, unless an array tells."""
    width = fields["hidden_size"]
    if fields.get("num_heads"):
        return fields["num_heads"], ()
    if not shapes.torch:
        return shapes.get(f"{_ATTENTION}/query/kernel", 3)[1], ()
    if fields["qk_norm"]:
        return max(width // shapes.get(f"{_ATTENTION}/query_ln/scale", 1)[0], 1), ()
    for name, row in VARIANTS.items():
        if all(getattr(row, f) == fields.get(f) for f in _DIMENSIONS[1:4]):
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


def _num_classes(shapes: Shapes) -> int | None:
    if "head/kernel" not in shapes:
        return None
    return shapes.get("head/kernel", 2)[1]


def _resnet(shapes: Shapes) -> dict[str, Any]:
    units: dict[int, set[int]] = {}
    for name in shapes:
        parts = name.split("/")
        if parts[0].startswith("block") and parts[0][5:].isdecimal():
            number = parts[1].removeprefix("unit")
            if number.isdecimal() and len(number) < 6:
                units.setdefault(int(parts[0][5:]), set()).add(int(number))
    # A gap in the numbers shows when the names are compared.
    layers = tuple(len(units[stage]) for stage in sorted(units))
    width = shapes.get("conv_root/kernel", 4)[3]
    return {
        "family": "hybrid",
        "resnet_layers": layers,
        "resnet_width_factor": width / 64,
    }


def _mixer(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    kernel = shapes.get("stem/kernel", 4)
    tokens = shapes.get("MixerBlock_0/token_mixing/Dense_0/kernel", 2)
    fields: dict[str, Any] = {
        "family": "mixer",
        "patch_size": kernel[:2],
        "hidden_size": kernel[3],
        "num_layers": count_layers(shapes, r"MixerBlock_(\d+)/", shapes.what),
        "mlp_dim": shapes.get("MixerBlock_0/channel_mixing/Dense_0/kernel", 2)[1],
        "tokens_mlp_dim": tokens[1],
    }
    fields |= {k: v for k, v in given.items() if v is not None}
    return Inferred(named(ModelConfig(**fields)), _num_classes(shapes), tokens[0])
