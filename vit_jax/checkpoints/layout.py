"""Every canonical name of a model, with the shape of its array.

What the modules of `vit_jax.models` would make, written out: it needs no tracing, so
that a hostile file costs nothing, and states what a checkpoint must have. A test holds
the two together for every option.
"""

import math
from collections.abc import Iterator
from typing import TypeVar

from vit_jax.checkpoints.lazy import Shape
from vit_jax.config import ModelConfig
from vit_jax.models.heads import needs_class_token

Entry = tuple[str, Shape]
Grid = tuple[int, int]
T = TypeVar("T")
POSITION = "Transformer/posembed_input/pos_embedding"


def num_prefix(model: ModelConfig) -> int:
    """Returns how many tokens stand before the patches."""
    has_class_token = needs_class_token(model)
    return has_class_token + model.distillation_token + model.num_registers


def shapes(
    model: ModelConfig, num_classes: int | None, grid: Grid | None
) -> dict[str, Shape]:
    """Returns name -> shape of every parameter.

    Args:
        model: resolved.
        num_classes: None: no head.
        grid: patches (down, across); None where no parameter depends on it.
    """
    if model.family == "mixer":
        return dict(_mixer(model, num_classes, grid))
    return dict(_vit(model, num_classes, grid))


def _vit(
    model: ModelConfig, num_classes: int | None, grid: Grid | None
) -> Iterator[Entry]:
    d, num_layers = _known(model.hidden_size), _known(model.num_layers)
    channels = 3
    if model.resnet_layers is not None:
        yield from _resnet(model)
        stages = len(model.resnet_layers)
        channels = int(64 * model.resnet_width_factor) * (2 ** (stages + 1))
        channels = channels if stages else channels // 2
    yield "embedding/kernel", (*_known(model.patch_size), channels, d)
    if model.patch_bias:
        yield "embedding/bias", (d,)
    yield from _prefix(model, d)
    yield from _positions(model, d, grid)
    if model.pre_norm:
        yield from _norm("Transformer/pre_norm", d)
    for i in range(num_layers):
        yield from _block(f"Transformer/encoderblock_{i}", model, grid)
    if not model.fc_norm:
        yield from _norm("Transformer/encoder_norm", d)
    if model.classifier == "map":
        yield "MAPHead_0/probe", (1, 1, d)
        name = "MAPHead_0/MultiHeadDotProductAttention_0"
        yield from _attention(name, model, qk_norm=False)
        yield from _norm("MAPHead_0/LayerNorm_0", d)
        yield from _mlp("MAPHead_0/MlpBlock_0", model)
    if model.fc_norm:
        yield from _norm("fc_norm", d)
    features = d
    if model.representation_size is not None:
        features = model.representation_size
        yield from _kernel("pre_logits", (d,), (features,))
    if num_classes is not None:
        yield from _kernel("head", (features,), (num_classes,))
        if model.distillation_token:
            yield from _kernel("head_dist", (features,), (num_classes,))


def _prefix(model: ModelConfig, d: int) -> Iterator[Entry]:
    if needs_class_token(model):
        yield "cls", (1, 1, d)
    if model.distillation_token:
        yield "dist", (1, 1, d)
    if model.num_registers:
        yield "registers", (1, model.num_registers, d)


def _positions(model: ModelConfig, d: int, grid: Grid | None) -> Iterator[Entry]:
    if model.posemb == "learned":
        rows = math.prod(_known(grid)) + (
            num_prefix(model) if model.posemb_prefix else 0
        )
        yield POSITION, (1, rows, d)
    elif model.posemb == "learned2d":
        down, across = _known(grid)
        yield f"{POSITION}_rows", (1, down, d // 2)
        yield f"{POSITION}_columns", (1, across, d // 2)


def _block(name: str, model: ModelConfig, grid: Grid | None) -> Iterator[Entry]:
    d, heads = _known(model.hidden_size), _known(model.num_heads)
    attention = f"{name}/MultiHeadDotProductAttention_0"
    yield from _norm(f"{name}/LayerNorm_0", d)
    yield from _attention(attention, model, qk_norm=model.qk_norm)
    if model.posemb == "relative":
        offsets = 2 * (math.prod(_known(grid)) + num_prefix(model)) - 1
        yield f"{attention}/relative_embedding", (offsets, d // heads)
    if model.layer_scale_init is not None:
        yield f"{name}/LayerScale_0/scale", (d,)
        yield f"{name}/LayerScale_1/scale", (d,)
    yield from _norm(f"{name}/LayerNorm_1", d)
    yield from _mlp(f"{name}/MlpBlock_0", model)


def _attention(name: str, model: ModelConfig, *, qk_norm: bool) -> Iterator[Entry]:
    d, heads = _known(model.hidden_size), _known(model.num_heads)
    split = (heads, d // heads)
    for projection in ("query", "key", "value"):
        yield from _kernel(f"{name}/{projection}", (d,), split)
    yield from _kernel(f"{name}/out", split, (d,))
    if qk_norm:
        yield from _norm(f"{name}/query_ln", split[1])
        yield from _norm(f"{name}/key_ln", split[1])


def _mlp(name: str, model: ModelConfig) -> Iterator[Entry]:
    d, m = _known(model.hidden_size), _known(model.mlp_dim)
    packed = 2 if model.activation == "swiglu" else 1
    yield from _kernel(f"{name}/Dense_0", (d,), (m * packed,))
    yield from _kernel(f"{name}/Dense_1", (m,), (d,))


def _resnet(model: ModelConfig) -> Iterator[Entry]:
    assert model.resnet_layers is not None
    width = int(64 * model.resnet_width_factor)
    yield "conv_root/kernel", (7, 7, 3, width)
    yield from _norm("gn_root", width)
    channels = width
    for stage, num_units in enumerate(model.resnet_layers):
        f = width * 2**stage
        for unit in range(num_units):
            name = f"block{stage + 1}/unit{unit + 1}"
            if unit == 0 and (channels != 4 * f or stage > 0):
                yield f"{name}/conv_proj/kernel", (1, 1, channels, 4 * f)
                yield from _norm(f"{name}/gn_proj", 4 * f)
            sides = ((1, channels, f), (3, f, f), (1, f, 4 * f))
            for i, (side, inputs, outputs) in enumerate(sides, start=1):
                yield f"{name}/conv{i}/kernel", (side, side, inputs, outputs)
                yield from _norm(f"{name}/gn{i}", outputs)
            channels = 4 * f


def _mixer(
    model: ModelConfig, num_classes: int | None, grid: Grid | None
) -> Iterator[Entry]:
    d, n = _known(model.hidden_size), math.prod(_known(grid))
    tokens_mlp, mlp = _known(model.tokens_mlp_dim), _known(model.mlp_dim)
    yield from _kernel("stem", (*_known(model.patch_size), 3), (d,))
    for i in range(_known(model.num_layers)):
        name = f"MixerBlock_{i}"
        yield from _norm(f"{name}/LayerNorm_0", d)
        yield from _kernel(f"{name}/token_mixing/Dense_0", (n,), (tokens_mlp,))
        yield from _kernel(f"{name}/token_mixing/Dense_1", (tokens_mlp,), (n,))
        yield from _norm(f"{name}/LayerNorm_1", d)
        yield from _kernel(f"{name}/channel_mixing/Dense_0", (d,), (mlp,))
        yield from _kernel(f"{name}/channel_mixing/Dense_1", (mlp,), (d,))
    yield from _norm("pre_head_layer_norm", d)
    if num_classes is not None:
        yield from _kernel("head", (d,), (num_classes,))


def _kernel(name: str, inputs: Shape, outputs: Shape) -> Iterator[Entry]:
    yield f"{name}/kernel", (*inputs, *outputs)
    yield f"{name}/bias", outputs


def _norm(name: str, size: int) -> Iterator[Entry]:
    yield f"{name}/scale", (size,)
    yield f"{name}/bias", (size,)


def _known(value: T | None) -> T:
    assert value is not None, "the model must be resolved, and the grid given"
    return value
