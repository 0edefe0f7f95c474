"""Fine-tune ViT-G/14 (1.8 B parameters) from your own weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1; Zhai
  et al. 2022, "Scaling Vision Transformers", for the model
Command: vit-jax train --config=configs/vit_gigantic14.py:cifar10
Cost: not measured
Expected result: not published; no weights of this variant are public: give your own
  with --config.init.checkpoint=PATH
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_gigantic14",
        "ViT-G/14",
        dataset,
        image_size=224,
    )
