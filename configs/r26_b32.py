"""Fine-tune R26+ViT-B/32, a ViT on a ResNet-26, from your own weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Steiner et al. 2022, "How to train your ViT?", for the weights
Command: vit-jax train --config=configs/r26_b32.py:cifar10
Cost: not measured
Expected result: not published for this recipe; give weights with
  --config.init.checkpoint=PATH
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "r26_b32",
        "R26+ViT-B/32",
        dataset,
    )
