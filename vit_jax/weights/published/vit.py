"""The ViT paper (arXiv:2010.11929).

Files: the original's README. Hub: Google's repositories (the branches are pull requests
of the Hub's own converter to safetensors, where the main branch has none) and timm's.
Hugging Face's class for these has no head over 21,843 classes; timm's has neither that
nor the tanh layer.
"""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    CLASSES_21K,
    README,
    TIMM,
    Costs,
    locate_in_bucket,
    locate_on_hub,
    locate_timm,
    prepare_as_google,
)
from vit_jax.weights.record import PublishedWeights

_IN21K = (
    ("ViT-B_16", 768, "google/vit-base-patch16-224-in21k", "vit_base_patch16_224"),
    ("ViT-B_32", 768, "google/vit-base-patch32-224-in21k", "vit_base_patch32_224"),
    ("ViT-L_16", 1024, "google/vit-large-patch16-224-in21k", "vit_large_patch16_224"),
    ("ViT-L_32", 1024, "google/vit-large-patch32-224-in21k@refs/pr/1",
     "vit_large_patch32_224"),
    ("ViT-H_14", 1280, "google/vit-huge-patch14-224-in21k", "vit_huge_patch14_224"),
    ("R50+ViT-B_16", 768, None, "vit_base_r50_s16_224"),
)  # fmt: skip


# Top-1 at 384 by timm; "-224" by the README.
_IN21K_1K = (
    ("ViT-B_16", 384, "google/vit-base-patch16-384",
     "vit_base_patch16_384.orig_in21k_ft_in1k", 84.200),
    ("ViT-B_16-224", 224, "google/vit-base-patch16-224",
     "vit_base_patch16_224.orig_in21k_ft_in1k", 81.2),
    ("ViT-B_32", 384, "google/vit-base-patch32-384", None, None),
    ("ViT-L_16", 384, "google/vit-large-patch16-384@refs/pr/1", None, None),
    ("ViT-L_16-224", 224, "google/vit-large-patch16-224@refs/pr/2", None, 82.7),
    ("ViT-L_32", 384, "google/vit-large-patch32-384@refs/pr/1",
     "vit_large_patch32_384.orig_in21k_ft_in1k", 81.510),
    ("R50+ViT-B_16", 384, None,
     "vit_base_r50_s16_384.orig_in21k_ft_in1k", 84.976),
)  # fmt: skip


def list_rows() -> Iterator[PublishedWeights]:
    both: dict[str, Any] = {"paper": "2010.11929", "license": APACHE}
    for name, width, google, timm in _IN21K:
        locations = [locate_in_bucket(f"vit_models/imagenet21k/{name}")]
        locations += [locate_on_hub(google, ("head",))] if google else []
        locations += locate_timm(f"{timm}.orig_in21k", ("head", "pre_logits"))
        yield PublishedWeights(
            f"imagenet21k/{name}",
            tuple(locations),
            model=ModelConfig(
                variant=name.replace("_", "/"), representation_size=width
            ),
            preprocessing=prepare_as_google(224),
            trained_on="ImageNet-21k",
            **CLASSES_21K,
            **both,
        )
    for name, size, google, timm, top1 in _IN21K_1K:
        locations = [locate_in_bucket(f"vit_models/imagenet21k+imagenet2012/{name}")]
        locations += [locate_on_hub(google)] if google else []
        source = README if size == 224 else TIMM + "1.0"
        yield PublishedWeights(
            f"imagenet21k+imagenet2012/{name}",
            (*locations, *locate_timm(timm)),
            model=ModelConfig(variant=name.removesuffix("-224").replace("_", "/")),
            preprocessing=prepare_as_google(size),
            top1=top1,
            top1_source=source if top1 else None,
            trained_on="ImageNet-21k, then ImageNet-1k",
            **CLASSES_1K,
            **both,
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "imagenet21k/ViT-B_16": (103_186_515, 17.58),
    "imagenet21k/ViT-B_32": (104_843_091, 4.426),
    "imagenet21k/ViT-L_16": (326_740_307, 61.58),
    "imagenet21k/ViT-L_32": (328_949_075, 15.4),
    "imagenet21k/ViT-H_14": (660_385_363, 167.3),
    "imagenet21k/R50+ViT-B_16": (115_277_971, 21.55),
    "imagenet21k+imagenet2012/ViT-B_16": (86_859_496, 55.48),
    "imagenet21k+imagenet2012/ViT-B_16-224": (86_567_656, 17.56),
    "imagenet21k+imagenet2012/ViT-B_32": (88_297_192, 13.04),
    "imagenet21k+imagenet2012/ViT-L_16": (304_715_752, 191.1),
    "imagenet21k+imagenet2012/ViT-L_16-224": (304_326_632, 61.55),
    "imagenet21k+imagenet2012/ViT-L_32": (306_632_680, 45.28),
    "imagenet21k+imagenet2012/R50+ViT-B_16": (98_950_952, 67.16),
}
