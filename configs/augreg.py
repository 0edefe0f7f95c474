"""Fine-tune any AugReg checkpoint, by the name of its model or its file.

Paper: Steiner et al. 2022, "How to train your ViT? Data, Augmentation, and
  Regularization in Vision Transformers", section 3.4
Command: vit-jax train --config=configs/augreg.py:R26_S_32,cifar100
Cost: not measured
Expected result: see `vit-jax models 'augreg/*'` for ImageNet; not published for the rest
"""

import ml_collections

from configs import common


def get_config(model_and_dataset: str = "Ti_16,cifar10") -> ml_collections.ConfigDict:
    """Returns the run for ``MODEL,DATASET``; see `common.DATASETS`."""
    model, _, dataset = model_and_dataset.partition(",")
    return common.finetune(
        "augreg", None, dataset or "cifar10", checkpoint=f"augreg/{model}"
    )
