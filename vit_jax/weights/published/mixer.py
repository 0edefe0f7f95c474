"""MLP-Mixer (arXiv:2105.01601), with the preprocessing of big_vision."""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    CLASSES_21K,
    TIMM,
    Costs,
    locate_in_bucket,
    locate_timm,
    prepare_as_big_vision,
)
from vit_jax.weights.record import PublishedWeights


def list_rows() -> Iterator[PublishedWeights]:
    for size, top1 in (("B", 76.602), ("L", 72.054)):
        timm = f"mixer_{size.lower()}16_224.goog_in21k"
        common: dict[str, Any] = {
            "model": ModelConfig(variant=f"Mixer-{size}/16"),
            "preprocessing": prepare_as_big_vision(224),
            "license": APACHE,
            "paper": "2105.01601",
        }
        bucket = "mixer_models/imagenet"
        yield PublishedWeights(
            f"imagenet21k/Mixer-{size}_16",
            (locate_in_bucket(f"{bucket}21k/Mixer-{size}_16"), *locate_timm(timm)),
            trained_on="ImageNet-21k",
            **CLASSES_21K,
            **common,
        )
        timm += "_ft_in1k"
        yield PublishedWeights(
            f"imagenet1k/Mixer-{size}_16",
            (locate_in_bucket(f"{bucket}1k/Mixer-{size}_16"), *locate_timm(timm)),
            top1=top1,
            top1_source=TIMM + "0.875",
            trained_on="ImageNet-1k",
            note="timm says in21k_ft_in1k; its accuracy is that of ImageNet-1k alone",
            **CLASSES_1K,
            **common,
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "imagenet21k/Mixer-B_16": (75_908_739, 12.62),
    "imagenet1k/Mixer-B_16": (59_880_472, 12.6),
    "imagenet21k/Mixer-L_16": (229_560_243, 44.57),
    "imagenet1k/Mixer-L_16": (208_196_168, 44.55),
}
