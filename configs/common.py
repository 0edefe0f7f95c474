"""What recipes share: dataset presets and the original's fine-tuning recipe."""

from typing import Any

import ml_collections

# Dosovitskiy et al. 2021, table 4: steps of fine-tuning. The original keeps the last
# percent or two of a training split for choosing the learning rate.
DATASETS: dict[str, dict[str, Any]] = {
    "cifar10": {
        "data": {"source": "tfds:cifar10", "train_split": "train[:98%]"},
        "total_steps": 10_000,
    },
    "cifar100": {
        "data": {"source": "tfds:cifar100", "train_split": "train[:98%]"},
        "total_steps": 10_000,
    },
    "imagenet2012": {
        "data": {
            "source": "tfds:imagenet2012",
            "train_split": "train[:99%]",
            "eval_split": "validation",
        },
        "total_steps": 20_000,
    },
    "oxford_iiit_pet": {
        "data": {"source": "tfds:oxford_iiit_pet", "train_split": "train[:90%]"},
        "total_steps": 500,
    },
    "oxford_flowers102": {
        "data": {"source": "tfds:oxford_flowers102", "train_split": "train"},
        "total_steps": 500,
    },
    # One's own images: add --config.data.source=folder:DIR
    "folder": {"data": {"train_split": "train"}, "total_steps": 500},
    # No download, for a first look.
    "digits": {"data": {"source": "digits", "flip": False}, "total_steps": 500},
}


def finetune(
    name: str,
    variant: str | None,
    dataset: str,
    *,
    checkpoint: str | None = None,
    image_size: int = 384,
    dropout_rate: float = 0.0,
    model: dict[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns the original's fine-tuning run of a variant on one of `DATASETS`.

    Dosovitskiy et al. 2021, appendix B.1.1: SGD with momentum 0.9, batch 512, cosine
    decay, no weight decay, gradients clipped to norm 1, 384 pixels.

    Args:
      name: of the recipe.
      variant: as the papers print it; None: the checkpoint's own model.
      dataset: a key of `DATASETS`.
      checkpoint: what the parameters start from; None: fresh ones.
      image_size: in pixels, a multiple of the patch.
      dropout_rate: the original's for this variant.
      model: what else the weights need: activation, classifier, ...
    """
    if dataset not in DATASETS:
        known = ", ".join(DATASETS)
        raise ValueError(f'dataset must be one of {known}, got "{dataset}"')
    preset = DATASETS[dataset]
    total_steps = preset["total_steps"]
    return ml_collections.ConfigDict(
        {
            "name": name,
            "model": {
                "variant": variant,
                "dropout_rate": dropout_rate,
                **(model or {}),
            },
            "init": {"checkpoint": checkpoint},
            "data": {"image_size": image_size, "batch_size": 512, **preset["data"]},
            "optim": {
                "name": "sgd",
                "learning_rate": 0.03,
                "momentum": 0.9,
                "accumulator_dtype": "bfloat16",
                "clip_global_norm": 1.0,
                "schedule": "cosine",
                "warmup_steps": min(500, total_steps // 10),
            },
            "train": {
                "total_steps": total_steps,
                "eval_every_percent": 10.0,
                "save_every_percent": 10.0,
                "accum_steps": 8,  # the original's; 1 where the memory is there
            },
        }
    )
