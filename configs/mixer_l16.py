"""Fine-tune Mixer-L/16 from ImageNet-21k weights.

Paper: Tolstikhin et al. 2021, "MLP-Mixer: An all-MLP Architecture for Vision"; the
  recipe is that of Dosovitskiy et al. 2021, appendix B.1.1
Command: vit-jax train --config=configs/mixer_l16.py:cifar10
Cost: not measured
Expected result: not published for this recipe
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "mixer_l16",
        "Mixer-L/16",
        dataset,
        checkpoint="imagenet21k/Mixer-L_16",
        image_size=224,
    )
