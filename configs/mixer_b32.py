"""Fine-tune Mixer-B/32 from your own weights.

Paper: Tolstikhin et al. 2021, "MLP-Mixer: An all-MLP Architecture for Vision"; the
  recipe is that of Dosovitskiy et al. 2021, appendix B.1.1
Command: vit-jax train --config=configs/mixer_b32.py:cifar10
Cost: not measured
Expected result: not published for this recipe; give weights with
  --config.init.checkpoint=PATH
"""

import ml_collections

from configs import common


def get_config(dataset: str = "cifar10") -> ml_collections.ConfigDict:
    """Returns the run on one of `common.DATASETS`."""
    return common.finetune(
        "mixer_b32",
        "Mixer-B/32",
        dataset,
        image_size=224,
    )
