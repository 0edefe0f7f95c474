"""Fine-tune ViT-H/14 from ImageNet-21k weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1
Command: vit-jax train --config=configs/vit_h14.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_h14",
        "ViT-H/14",
        dataset,
        checkpoint="imagenet21k/ViT-H_14",
        image_size=378,
        dropout_rate=0.1,
    )
