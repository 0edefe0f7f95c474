"""Fine-tune ViT-M/16 from DeiT III's weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1;
  Touvron et al. 2022, "DeiT III", for the weights
Command: vit-jax train --config=configs/vit_m16.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_m16",
        "ViT-M/16",
        dataset,
        checkpoint="deit3/ViT-M_16-224-in21k",
        image_size=224,
        model={"activation": "gelu", "layer_scale_init": 1e-06, "posemb_prefix": False},
    )
