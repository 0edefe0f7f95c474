"""Fine-tune ViT-S/8 from your own weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1; Caron
  et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers", for the
  model
Command: vit-jax train --config=configs/vit_s8.py:cifar10
Cost: not measured
Expected result: not published for this recipe; give weights with
  --config.init.checkpoint=PATH
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_s8",
        "ViT-S/8",
        dataset,
        image_size=224,
    )
