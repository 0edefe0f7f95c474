"""DINOv2 (arXiv:2304.07193), with and without registers (arXiv:2309.16588).

Top-1: facebookresearch/dinov2 README, linear probe. The rest: timm. The Hub has the
models without registers from Facebook, too.
"""

import dataclasses
from collections.abc import Iterator

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    Costs,
    locate_on_hub,
    locate_timm,
    prepare_as_torch,
)
from vit_jax.weights.record import PublishedWeights

_DINOV2 = (
    ("S", "small", 81.1, 80.9),
    ("B", "base", 84.5, 84.6),
    ("L", "large", 86.3, 86.7),
    ("g", "giant", 86.5, 87.1),
)


def list_rows() -> Iterator[PublishedWeights]:
    for size, long, plain, with_registers in _DINOV2:
        config = ModelConfig(
            variant=f"ViT-{size}/14", activation="gelu", layer_scale_init=1e-5
        )
        if size == "g":  # not the ViT-g of arXiv:2106.04560
            config = dataclasses.replace(
                config,
                hidden_size=1536,
                num_heads=24,
                mlp_dim=4096,
                activation="swiglu",
            )
        for top1, suffix, infix in (
            (plain, "", ""),
            (with_registers, "-reg4", "reg4_"),
        ):
            if suffix:
                config = dataclasses.replace(
                    config, num_registers=4, posemb_prefix=False
                )
            facebook = () if suffix else (locate_on_hub(f"facebook/dinov2-{long}"),)
            yield PublishedWeights(
                f"dinov2/ViT-{size}_14{suffix}",
                (*locate_timm(f"vit_{long}_patch14_{infix}dinov2.lvd142m"), *facebook),
                model=config,
                preprocessing=prepare_as_torch(518, 1.0, imagenet_statistics=True),
                top1=top1,
                top1_source="facebookresearch/dinov2 README, linear probe",
                license=APACHE,
                trained_on="LVD-142M, without labels",
                paper="2309.16588" if suffix else "2304.07193",
            )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "dinov2/ViT-S_14": (22_056_192, 46.7),
    "dinov2/ViT-S_14-reg4": (22_057_344, 46.88),
    "dinov2/ViT-B_14": (86_579_712, 151.6),
    "dinov2/ViT-B_14-reg4": (86_582_016, 152.1),
    "dinov2/ViT-L_14": (304_367_616, 506.8),
    "dinov2/ViT-L_14-reg4": (304_370_688, 508.6),
    "dinov2/ViT-g_14": (1_136_479_232, 1783.0),
    "dinov2/ViT-g_14-reg4": (1_136_483_840, 1789.0),
}
