"""Fine-tune a ViT of ViT-22B/14's dimensions from your own weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters", for the
  dimensions
Command: vit-jax train --config=configs/vit_22b14.py:cifar10
Cost: not measured
Expected result: not published; no weights of this variant are public: give your own
  with --config.init.checkpoint=PATH
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_22b14",
        "ViT-22B/14",
        dataset,
        image_size=224,
    )
