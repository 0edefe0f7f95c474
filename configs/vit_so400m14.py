"""Fine-tune ViT-So400m/14 from SigLIP's weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1; Zhai
  et al. 2023, "Sigmoid Loss for Language Image Pre-Training", for the weights
Command: vit-jax train --config=configs/vit_so400m14.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_so400m14",
        "ViT-So400m/14",
        dataset,
        checkpoint="siglip/ViT-So400m_14-224",
        image_size=224,
        model={"classifier": "map"},
    )
