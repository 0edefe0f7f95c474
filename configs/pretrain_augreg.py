"""Train a ViT from scratch as AugReg did, with augmentation by the name of its strength.

Paper: Steiner et al. 2022, "How to train your ViT? Data, Augmentation, and
  Regularization in Vision Transformers", section 3; loss, evaluation and the strength
  for each model are those of the authors' code (big_vision, vit_i1k.py and vit_i21k.py)
Command: vit-jax train --config=configs/pretrain_augreg.py:B_16,imagenet2012,medium2
Cost: not measured; 300 epochs at batch 4096
Expected result: not published for each setting; the best of each model, after
  fine-tuning, are in `vit-jax models 'augreg/*'`
"""

import ml_collections

from configs import common
from configs.datasets import DATASETS

# Strength -> RandAugment's operations and magnitude, mixup's alpha (section 3.3).
# Magnitude 0 is not nothing: posterizing, say, does most there.
AUGMENTATIONS = {
    "none": ((0, 0.0), 0.0),
    "light1": ((2, 0.0), 0.0),
    "light2": ((2, 10.0), 0.2),
    "medium1": ((2, 15.0), 0.2),
    "medium2": ((2, 15.0), 0.5),
    "strong1": ((2, 20.0), 0.5),
    "strong2": ((2, 20.0), 0.8),
}

# Model -> the strength that suits ImageNet-21k and, as less data need more, ImageNet.
_SUITABLE = {
    "Ti_16": ("none", "light1"),
    "S_32": ("none", "medium1"),
    "S_16": ("light1", "medium2"),
    "B_32": ("light2", "medium2"),
    "B_16": ("light2", "medium2"),
    "L_16": ("medium2", "medium2"),
}

# The paper's regularization is on or off: dropout and stochastic depth together.
_REGULARIZED = 0.1


def get_config(choice: str = "B_16,imagenet2012") -> ml_collections.ConfigDict:
    """Returns the run for ``MODEL,DATASET[,AUGMENTATION][,regularized]``.

    ``regularized`` helped B and L models on ImageNet, none on ImageNet-21k.
    """
    model, dataset, *options = [
        *choice.split(","),
        *["imagenet2012"][choice.count(",") :],
    ]
    rate = _REGULARIZED if "regularized" in options else 0.0
    strengths = [option for option in options if option != "regularized"]
    common.check_choice("model", model, _SUITABLE)
    common.check_choice("dataset", dataset, DATASETS)
    is_large = dataset.startswith("imagenet21k")
    strength = (*strengths, _SUITABLE[model][0 if is_large else 1])[0]
    common.check_choice("augmentation", strength, AUGMENTATIONS)
    randaugment, mixup = AUGMENTATIONS[strength]
    return ml_collections.ConfigDict(
        {
            "name": "pretrain_augreg",
            "model": {
                "variant": f"ViT-{model.replace('_', '/')}",
                "dropout_rate": rate,
                "stochastic_depth_rate": rate,
                # What a sigmoid begins with where one class in thousands is right.
                "head_bias_init": -10.0 if is_large else -6.9,
            },
            "data": {
                "image_size": 224,
                "batch_size": 4096,
                "eval_crop": "center",
                "randaugment": randaugment,
                "mixup": mixup,
                **DATASETS[dataset]["data"],
            },
            "optim": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 0.1,
                "accumulator_dtype": "bfloat16",
                "clip_global_norm": 1.0,
                "schedule": "cosine",
                # 10,000 updates of 1,040,000 and of 94,000.
                "warmup_percent": 1.0 if is_large else 10.7,
            },
            "train": {
                "total_epochs": 300,
                "eval_every_percent": 2.0,
                "save_every_percent": 2.0,
                "loss": "sigmoid",
            },
        }
    )
