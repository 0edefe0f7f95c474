"""DeiT (arXiv:2012.12877) and DeiT III (arXiv:2204.07118).

Top-1 and DeiT's crop of 0.875: facebookresearch/deit README_deit.md and main.py;
README_revenge.md. DeiT III's crop: timm.
"""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    LONG_NAMES,
    TIMM,
    Costs,
    locate_on_hub,
    locate_timm,
    prepare_as_torch,
)
from vit_jax.weights.record import PublishedWeights

_DEIT = (
    ("Ti", 224, False, 72.2, "facebook/deit-tiny-patch16-224@refs/pr/3"),
    ("Ti", 224, True, 74.5, "facebook/deit-tiny-distilled-patch16-224@refs/pr/3"),
    ("S", 224, False, 79.9, None),
    ("S", 224, True, 81.2, None),
    ("B", 224, False, 81.8, "facebook/deit-base-patch16-224@refs/pr/3"),
    ("B", 224, True, 83.4, "facebook/deit-base-distilled-patch16-224@refs/pr/2"),
    ("B", 384, False, 82.9, None),
    ("B", 384, True, 85.2, "facebook/deit-base-distilled-patch16-384"),
)


_DEIT3 = (
    # size, patch, resolution, top-1 from ImageNet-1k alone, and from ImageNet-21k
    ("S", 16, 224, 81.4, 83.1),
    ("S", 16, 384, 83.4, 84.8),
    ("M", 16, 224, 83.086, 84.552),  # timm's: the README came without M
    ("B", 16, 224, 83.8, 85.7),
    ("B", 16, 384, 85.0, 86.7),
    ("L", 16, 224, 84.9, 87.0),
    ("L", 16, 384, 85.8, 87.7),
    ("H", 14, 224, 85.2, 87.2),
)


def list_rows() -> Iterator[PublishedWeights]:
    common: dict[str, Any] = {"license": APACHE, **CLASSES_1K}
    for size, pixels, distilled, top1, facebook in _DEIT:
        middle = "distilled_" if distilled else ""
        repo = f"deit_{LONG_NAMES[size]}_{middle}patch16_{pixels}.fb_in1k"
        yield PublishedWeights(
            f"deit/ViT-{size}_16-{pixels}" + ("-distilled" if distilled else ""),
            (*locate_timm(repo), *([locate_on_hub(facebook)] if facebook else [])),
            model=ModelConfig(
                variant=f"ViT-{size}/16",
                activation="gelu",
                distillation_token=distilled,
            ),
            preprocessing=prepare_as_torch(pixels, 0.875, imagenet_statistics=True),
            top1=top1,
            top1_source="facebookresearch/deit README_deit.md",
            trained_on="ImageNet-1k",
            paper="2012.12877",
            **common,
        )
    for size, patch, pixels, alone, from_21k in _DEIT3:
        for top1, suffix, upstream in (
            (alone, "", "fb_in1k"),
            (from_21k, "-in21k", "fb_in22k_ft_in1k"),
        ):
            repo = f"deit3_{LONG_NAMES[size]}_patch{patch}_{pixels}.{upstream}"
            crop = 1.0 if suffix or pixels == 384 else 0.9
            source = "facebookresearch/deit README_revenge.md"
            yield PublishedWeights(
                f"deit3/ViT-{size}_{patch}-{pixels}{suffix}",
                locate_timm(repo),
                model=ModelConfig(
                    variant=f"ViT-{size}/{patch}",
                    activation="gelu",
                    posemb_prefix=False,
                    layer_scale_init=1e-6,
                ),
                preprocessing=prepare_as_torch(pixels, crop, imagenet_statistics=True),
                top1=top1,
                top1_source=TIMM + str(crop) if size == "M" else source,
                trained_on="ImageNet-21k, then ImageNet-1k"
                if suffix
                else "ImageNet-1k",
                paper="2204.07118",
                **common,
            )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "deit/ViT-Ti_16-224": (5_717_416, 1.254),
    "deit/ViT-Ti_16-224-distilled": (5_910_800, 1.261),
    "deit/ViT-S_16-224": (22_050_664, 4.599),
    "deit/ViT-S_16-224-distilled": (22_436_432, 4.624),
    "deit/ViT-B_16-224": (86_567_656, 17.56),
    "deit/ViT-B_16-224-distilled": (87_338_192, 17.66),
    "deit/ViT-B_16-384": (86_859_496, 55.48),
    "deit/ViT-B_16-384-distilled": (87_630_032, 55.59),
    "deit3/ViT-S_16-224": (22_059_496, 4.599),
    "deit3/ViT-S_16-224-in21k": (22_059_496, 4.599),
    "deit3/ViT-S_16-384": (22_205_416, 15.49),
    "deit3/ViT-S_16-384-in21k": (22_205_416, 15.49),
    "deit3/ViT-M_16-224": (38_849_512, 7.991),
    "deit3/ViT-M_16-224-in21k": (38_849_512, 7.991),
    "deit3/ViT-B_16-224": (86_585_320, 17.56),
    "deit3/ViT-B_16-224-in21k": (86_585_320, 17.56),
    "deit3/ViT-B_16-384": (86_877_160, 55.48),
    "deit3/ViT-B_16-384-in21k": (86_877_160, 55.48),
    "deit3/ViT-L_16-224": (304_374_760, 61.55),
    "deit3/ViT-L_16-224-in21k": (304_374_760, 61.55),
    "deit3/ViT-L_16-384": (304_763_880, 191.1),
    "deit3/ViT-L_16-384-in21k": (304_763_880, 191.1),
    "deit3/ViT-H_14-224": (632_126_440, 167.3),
    "deit3/ViT-H_14-224-in21k": (632_126_440, 167.3),
}
