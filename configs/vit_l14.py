"""Fine-tune ViT-L/14 from DINOv2's weights.

Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix B.1.1; Oquab
  et al. 2024, "DINOv2", for the weights
Command: vit-jax train --config=configs/vit_l14.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "vit_l14",
        "ViT-L/14",
        dataset,
        checkpoint="dinov2/ViT-L_14",
        image_size=224,
        model={"activation": "gelu", "layer_scale_init": 1e-05},
    )
