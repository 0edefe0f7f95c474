"""Fine-tune R50+ViT-B/16, a ViT on a ResNet-50, from ImageNet-21k weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1
Command: vit-jax train --config=configs/r50_b16.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "r50_b16",
        "R50+ViT-B/16",
        dataset,
        checkpoint="imagenet21k/R50+ViT-B_16",
        dropout_rate=0.1,
    )
