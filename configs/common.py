"""What recipes share: dataset presets and the original's fine-tuning recipe."""

from typing import Any

import ml_collections

from configs.datasets import DATASETS


def check_choice(what: str, value: str, known: dict[str, Any]) -> None:
    """Raises ValueError unless ``value`` is one of ``known``."""
    if value not in known:
        raise ValueError(f'{what} must be one of {", ".join(known)}, got "{value}"')


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
    check_choice("dataset", dataset, DATASETS)
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
                # The original's 500 steps; a shorter run warms up for as large a share.
                "warmup_percent": 100 * min(500, total_steps // 10) / total_steps,
            },
            "train": {
                "total_steps": total_steps,
                "eval_every_percent": 10.0,
                "save_every_percent": 10.0,
                "accum_steps": 8,  # the original's; 1 where the memory is there
            },
        }
    )
