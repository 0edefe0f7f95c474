"""Fine-tune ViT-So400m/16 from SigLIP 2's weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Tschannen et al. 2025, "SigLIP 2", for the weights
Command: vit-jax train --config=configs/vit_so400m16.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_so400m16",
        "ViT-So400m/16",
        dataset,
        checkpoint="siglip2/ViT-So400m_16-256",
        image_size=256,
        model={"classifier": "map"},
    )
