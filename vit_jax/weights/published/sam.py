"""Trained from scratch with SAM (arXiv:2106.01548) and GSAM (arXiv:2203.08065).

Preprocessing: big_vision's vit_i1k_gsam_no_aug.py, which is SAM's with other numbers.
The files of SAM and the folder of GSAM are those that public code names. GSAM's models
pool by the mean and have no class token (the original's pull request 215).
"""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    TIMM,
    Costs,
    locate_in_bucket,
    locate_timm,
    prepare_as_big_vision,
)
from vit_jax.weights.record import PublishedWeights


def list_rows() -> Iterator[PublishedWeights]:
    common: dict[str, Any] = {
        "preprocessing": prepare_as_big_vision(224),
        "license": APACHE,
        "trained_on": "ImageNet-1k",
        **CLASSES_1K,
    }
    for name, timm, top1 in (
        ("ViT-S_16", None, None),
        ("ViT-B_32", "vit_base_patch32_224.sam_in1k", 73.694),
        ("ViT-B_16", "vit_base_patch16_224.sam_in1k", 80.244),
    ):
        yield PublishedWeights(
            f"sam/{name}",
            (locate_in_bucket(f"vit_models/sam/{name}"), *locate_timm(timm)),
            model=ModelConfig(variant=name.replace("_", "/")),
            top1=top1,
            top1_source=TIMM + "0.9" if top1 else None,
            paper="2106.01548",
            **common,
        )
    for name in ("Mixer-B_32", "Mixer-B_16"):
        yield PublishedWeights(
            f"sam/{name}",
            (locate_in_bucket(f"mixer_models/sam/{name}"),),
            model=ModelConfig(variant=name.replace("_", "/")),
            paper="2106.01548",
            **common,
        )
    for name in ("ViT-S_32", "ViT-S_16", "ViT-B_32", "ViT-B_16"):
        yield PublishedWeights(
            f"gsam/{name}",
            (locate_in_bucket(f"vit_models/gsam/{name}"),),
            model=ModelConfig(variant=name.replace("_", "/"), classifier="gap"),
            paper="2203.08065",
            note="timm's author measured very poor accuracy (timm issue 1302)",
            **common,
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "sam/ViT-S_16": (22_050_664, 4.599),
    "sam/ViT-B_32": (88_224_232, 4.409),
    "sam/ViT-B_16": (86_567_656, 17.56),
    "sam/Mixer-B_32": (60_293_428, 3.238),
    "sam/Mixer-B_16": (59_880_472, 12.6),
    "gsam/ViT-S_32": (22_878_184, 1.121),
    "gsam/ViT-S_16": (22_049_896, 4.574),
    "gsam/ViT-B_32": (88_222_696, 4.322),
    "gsam/ViT-B_16": (86_566_120, 17.47),
}
