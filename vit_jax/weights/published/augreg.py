"""AugReg (arXiv:2106.10270): the checkpoints that its README recommends.

File names are those of the README's table, and of timm's configurations, which name
both the bucket's file and the repository on the Hub. No AugReg file has a
representation layer (391 MiB for B/16 with 21,843 classes).
"""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    CLASSES_21K,
    README,
    Costs,
    locate_in_bucket,
    locate_timm,
    prepare_as_google,
)
from vit_jax.weights.record import PublishedWeights

# The files that no table lists (`weights.augreg` finds them), and their index.
AUGREG_FOLDER = "gs://vit_models/augreg"


AUGREG_VARIANTS = {
    "Ti_16": "ViT-Ti/16",
    "S_32": "ViT-S/32",
    "S_16": "ViT-S/16",
    "B_32": "ViT-B/32",
    "B_16": "ViT-B/16",
    "B_8": "ViT-B/8",
    "L_16": "ViT-L/16",
    "R_Ti_16": "R+ViT-Ti/16",
    "R26_S_32": "R26+ViT-S/32",
    "R26_B_32": "R26+ViT-B/32",
    "R50_L_32": "R50+ViT-L/32",
}


# model, recipe, learning rate of the fine-tuning at 384, its top-1 (README), and timm's
# repositories where they hold the very same run.
_RECOMMENDED = (
    ("Ti_16", "aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 78.22,
     "vit_tiny_patch16_224.augreg_in21k", "vit_tiny_patch16_384.augreg_in21k_ft_in1k"),
    ("S_32", "aug_none-wd_0.1-do_0.0-sd_0.0", "0.01", 79.58, None, None),
    ("S_16", "aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 83.73,
     "vit_small_patch16_224.augreg_in21k", "vit_small_patch16_384.augreg_in21k_ft_in1k"),
    ("B_32", "aug_light1-wd_0.1-do_0.0-sd_0.0", "0.01", 83.59, None, None),
    ("B_16", "aug_medium1-wd_0.1-do_0.0-sd_0.0", "0.03", 85.49,
     "vit_base_patch16_224.augreg_in21k", None),
    ("L_16", "aug_strong1-wd_0.1-do_0.0-sd_0.0", "0.01", 85.59, None, None),
    ("R_Ti_16", "aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 75.40,
     "vit_tiny_r_s16_p8_224.augreg_in21k",
     "vit_tiny_r_s16_p8_384.augreg_in21k_ft_in1k"),
    ("R26_S_32", "aug_light1-wd_0.1-do_0.0-sd_0.0", "0.01", 83.85, None, None),
    ("R50_L_32", "aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01", 85.99, None, None),
)  # fmt: skip


def list_rows() -> Iterator[PublishedWeights]:
    for model, recipe, rate, top1, timm_21k, timm_1k in _RECOMMENDED:
        file = f"vit_models/augreg/{model}-i21k-300ep-lr_0.001-{recipe}"
        yield PublishedWeights(
            f"augreg/{model}",
            (locate_in_bucket(file), *locate_timm(timm_21k)),
            preprocessing=prepare_as_google(224),
            **describe_augreg(model, **CLASSES_21K),
        )
        file += f"--imagenet2012-steps_20k-lr_{rate}-res_384"
        yield PublishedWeights(
            f"augreg/{model}-384",
            (locate_in_bucket(file), *locate_timm(timm_1k)),
            preprocessing=prepare_as_google(384),
            top1=top1,
            top1_source=README,
            **describe_augreg(model, **CLASSES_1K),
        )


def describe_augreg(model: str, upstream: str = "i21k", **facts: Any) -> dict[str, Any]:
    data = {"i21k": "ImageNet-21k", "i1k": "ImageNet-1k"}[upstream]
    fine_tuned = facts["classes"] == "imagenet1k" and upstream == "i21k"
    return {
        "model": ModelConfig(variant=AUGREG_VARIANTS[model]),
        "trained_on": f"{data}, then ImageNet-1k" if fine_tuned else data,
        "paper": "2106.10270",
        "license": APACHE,
        **facts,
    }


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "augreg/Ti_16": (9_740_115, 1.258),
    "augreg/Ti_16-384": (5_790_376, 4.682),
    "augreg/S_32": (30_903_507, 1.151),
    "augreg/S_32-384": (22_915_432, 3.443),
    "augreg/S_16": (30_075_219, 4.607),
    "augreg/S_16-384": (22_196_584, 15.49),
    "augreg/B_32": (104_252_499, 4.425),
    "augreg/B_32-384": (88_297_192, 13.04),
    "augreg/B_16": (102_595_923, 17.58),
    "augreg/B_16-384": (86_859_496, 55.48),
    "augreg/L_16": (325_690_707, 61.58),
    "augreg/L_16-384": (304_715_752, 191.1),
    "augreg/R_Ti_16": (10_360_403, 0.438),
    "augreg/R_Ti_16-384": (6_355_944, 1.327),
    "augreg/R26_S_32": (44_456_467, 3.472),
    "augreg/R26_S_32-384": (36_468_392, 10.26),
    "augreg/R50_L_32": (350_358_931, 19.43),
    "augreg/R50_L_32-384": (329_092_136, 57.14),
}
