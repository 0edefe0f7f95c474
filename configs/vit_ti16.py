"""Fine-tune ViT-Ti/16 from ImageNet-21k weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Steiner et al. 2022, "How to train your ViT?", for the weights
Command: vit-jax train --config=configs/vit_ti16.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_ti16",
        "ViT-Ti/16",
        dataset,
        checkpoint="augreg/Ti_16",
    )
