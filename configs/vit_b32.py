"""Fine-tune ViT-B/32 from ImageNet-21k weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1
Command: vit-jax train --config=configs/vit_b32.py:cifar10
Cost: 1.6 hours on eight V100 for CIFAR-10 in the original; not measured here
Expected result: 98.9% on CIFAR-10, 92.1% on CIFAR-100, 81.8% on ImageNet (the
  original's own runs, published in its README)
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_b32",
        "ViT-B/32",
        dataset,
        checkpoint="imagenet21k/ViT-B_32",
    )
