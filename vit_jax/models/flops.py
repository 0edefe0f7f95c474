"""How much arithmetic one image costs: multiply-adds of matrix products and convolutions.

One multiply-add counts as one, which is what most papers of this field print as FLOPs
(DeiT, DeiT III, Mixer) and timm as MACs; Zhai et al. 2022 (arXiv:2106.04560) and
hardware data sheets count two. Norms, activations, softmax and additions are left out:
about one part in a hundred.
"""

import math

from vit_jax.config import ModelConfig
from vit_jax.models import find_token_size, resolve_model
from vit_jax.models.heads import WITH_CLASS_TOKEN

Grid = tuple[int, int]


def count_multiply_adds(
    config: ModelConfig, num_classes: int | None, image_size: tuple[int, int]
) -> int:
    """Returns the multiply-adds of one forward pass over one image.

    Args:
        config: of any family.
        num_classes: of the head; None: no head.
        image_size: (height, width) in pixels.

    Raises:
        ConfigError: as ``models.resolve``.
    """
    config = resolve_model(config)
    height, width = find_token_size(config)
    grid = image_size[0] // height, image_size[1] // width
    if config.family == "mixer":
        return _mixer(config, num_classes, math.prod(grid))
    stem = _resnet(config, image_size) if config.family == "hybrid" else 0
    return stem + _vit(config, num_classes, math.prod(grid))


def count_inference_flops(
    config: ModelConfig, num_classes: int | None, image_size: tuple[int, int]
) -> int:
    """Returns the FLOPs of one forward pass over one image: two per multiply-add."""
    return 2 * count_multiply_adds(config, num_classes, image_size)


def count_training_flops(
    config: ModelConfig, num_classes: int | None, image_size: tuple[int, int]
) -> int:
    """Returns the FLOPs of one image in training: three forward passes' worth.

    The backward pass has two products for each of the forward pass. Rematerialisation
    is not counted: it is not the model's.
    """
    return 3 * count_inference_flops(config, num_classes, image_size)


def _dims(config: ModelConfig) -> tuple[int, int, int]:
    """Returns width, MLP width and layers of a resolved config."""
    assert config.hidden_size
    assert config.mlp_dim
    assert config.num_layers
    return config.hidden_size, config.mlp_dim, config.num_layers


def _patch_area(config: ModelConfig) -> int:
    assert config.patch_size
    return math.prod(config.patch_size)


def _vit(config: ModelConfig, num_classes: int | None, num_patches: int) -> int:
    d, m, num_layers = _dims(config)
    channels = _channels(config)
    n = num_patches + config.num_registers + config.distillation_token
    n += config.classifier in WITH_CLASS_TOKEN
    mlp = (3 if config.activation == "swiglu" else 2) * d * m  # gate, value, out
    attention = 4 * n * d * d + 2 * n * n * d
    if config.posemb == "relative":
        attention += n * n * d
    total = num_patches * _patch_area(config) * channels * d
    total += num_layers * (attention + n * mlp)
    if config.classifier == "map":  # one query
        total += 2 * num_patches * (d * d + d) + 2 * d * d + mlp
    features = 1
    if "unpooled" in config.classifier:
        features = num_patches + (config.classifier in WITH_CLASS_TOKEN)
    if config.representation_size:
        total += features * d * config.representation_size
    heads = features * (2 if config.distillation_token else 1)
    return total + heads * (config.representation_size or d) * (num_classes or 0)


def _channels(config: ModelConfig) -> int:
    """Returns how many channels the patches are cut from."""
    if config.resnet_layers is None:
        return 3
    width = int(64 * config.resnet_width_factor)
    if not config.resnet_layers:
        return width
    return width * 2 ** (len(config.resnet_layers) - 1) * 4


def _resnet(config: ModelConfig, image_size: tuple[int, int]) -> int:
    """The root and the stages of bottleneck units; SAME padding, so sizes round up."""
    assert config.resnet_layers is not None
    width = int(64 * config.resnet_width_factor)
    size = _half(image_size)
    total = math.prod(size) * 7 * 7 * 3 * width
    size = _half(size)  # the pooling
    wide = width
    for i, num_units in enumerate(config.resnet_layers):
        narrow = width * 2**i
        for unit in range(num_units):
            before = size
            if i and not unit:
                size = _half(size)
            area = math.prod(size)
            total += math.prod(before) * wide * narrow  # 1x1, before the stride
            total += area * 9 * narrow * narrow + area * narrow * 4 * narrow
            if not unit:
                total += area * wide * 4 * narrow  # the shortcut's projection
            wide = 4 * narrow
    return total


def _half(size: Grid) -> Grid:
    return math.ceil(size[0] / 2), math.ceil(size[1] / 2)


def _mixer(config: ModelConfig, num_classes: int | None, n: int) -> int:
    d, m, num_layers = _dims(config)
    assert config.tokens_mlp_dim
    layer = 2 * n * config.tokens_mlp_dim * d + 2 * n * d * m
    patches = n * _patch_area(config) * 3 * d
    return patches + num_layers * layer + d * (num_classes or 0)
