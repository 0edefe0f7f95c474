"""Fine-tune R26+ViT-S/32, a ViT on a ResNet-26, from ImageNet-21k weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Steiner et al. 2022, "How to train your ViT?", for the weights
Command: vit-jax train --config=configs/r26_s32.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "r26_s32",
        "R26+ViT-S/32",
        dataset,
        checkpoint="augreg/R26_S_32",
    )
