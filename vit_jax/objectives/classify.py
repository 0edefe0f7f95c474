"""Classification: labels, smoothed and mixed, against logits; top-1, top-5 and mAP."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vit_jax.config import Config, DataConfig
from vit_jax.config.choices import LOSSES
from vit_jax.data.augment import prepare_images
from vit_jax.data.augment.mix import mix_examples
from vit_jax.data.sources import Source
from vit_jax.errors import ConfigError
from vit_jax.objectives.average_precision import mean_average_precision
from vit_jax.objectives.keys import StepKeys
from vit_jax.objectives.losses import make_targets
from vit_jax.objectives.objective import (
    Aux,
    Batch,
    Learner,
    Objective,
    compute_means,
)

Views = tuple[Float[Array, "b h w c"], Float[Array, "b y"]]


def make_classify(config: Config, num_classes: int) -> Objective:
    """Returns the objective: the mean loss of soft targets, with mixup and CutMix."""
    data, train = config.data, config.train
    loss_per_example = LOSSES.resolve(train.loss)

    def views(batch: Batch, keys: StepKeys) -> Views:
        inputs = prepare_images(batch["image"], keys["augment"], data, train=True)
        targets = make_targets(batch["label"], num_classes, train.label_smoothing)
        return mix_examples(inputs, targets, keys["mix"], data.mixup, data.cutmix)

    def loss(
        learner: Learner, views: Views, keys: StepKeys
    ) -> tuple[Float[Array, ""], Aux]:
        inputs, targets = views
        rngs = {"dropout": keys["dropout"]}
        logits = learner.apply(learner.params, inputs, train=True, rngs=rngs)
        return loss_per_example(logits, targets).mean(), Aux()

    return Objective(
        views=views,
        loss=loss,
        evaluate=make_hit_counter(data, train.loss, num_classes),
        finish=finish_hits,
        describe=describe_metrics,
        check=lambda source: check_labels(config, source),
    )


def make_hit_counter(
    data: DataConfig, loss: str, num_classes: int
) -> Callable[[Learner, Batch], dict[str, Array]]:
    """Returns the ``evaluate`` of an objective: sums over the rows that ``mask`` keeps.

    ``top5`` counts among the first ``min(5, num_classes)``. Of images with several
    labels, any one will do; their ``scores`` [b, y], ``labels`` and ``mask`` are
    returned too, for a measure that looks at all images at once.
    """
    loss_per_example = LOSSES.resolve(loss)

    def evaluate(learner: Learner, batch: Batch) -> dict[str, Array]:
        inputs = prepare_images(batch["image"], None, data, train=False)
        logits = learner.apply(learner.params, inputs, train=False)
        labels, mask = batch["label"], batch["mask"]
        targets = make_targets(labels, num_classes)
        losses = loss_per_example(logits, targets)
        _, best = jax.lax.top_k(logits, min(5, num_classes))
        hits = jnp.take_along_axis(targets, best, axis=1) > 0
        sums: dict[str, Any] = {
            "count": mask.sum(),
            "loss": jnp.where(mask, losses, 0).sum(),
            "top1": (hits[:, 0] & mask).sum(),
            "top5": (hits.any(axis=1) & mask).sum(),
        }
        if labels.ndim == 2:
            sums |= {"scores": logits, "labels": labels, "mask": mask}
        return sums

    return evaluate


def finish_hits(
    sums: dict[str, float], rows: dict[str, np.ndarray]
) -> dict[str, float]:
    """Returns means over all examples: ``loss``, ``top1``, ``top5``, and ``count``.

    Of images with several labels also ``map``, the mean average precision.
    """
    means = compute_means(sums, rows)
    count = means.pop("count")
    if "scores" in rows:
        means["map"] = mean_average_precision(rows["scores"], rows["labels"])
    return {**means, "count": count}


def describe_metrics(values: Mapping[str, float]) -> str:
    """Returns an evaluation as a person reads it."""
    ranking = f"mAP {values['map']:.2%}  " if "map" in values else ""
    return (
        f"{ranking}top-1 {values['top1']:.2%}  top-5 {values['top5']:.2%}  "
        f"loss {values['loss']:.4f}  ({values['count']} images)"
    )


def check_labels(config: Config, source: Source) -> None:
    """Raises ConfigError where the loss does not suit the images' labels."""
    if source.multi_label and config.train.loss != "sigmoid":
        raise ConfigError(
            "config.train.loss must be sigmoid for images with several labels, got "
            f'"{config.train.loss}"; add --config.train.loss=sigmoid'
        )
    if source.num_classes < 2 and config.train.loss == "softmax":
        raise ConfigError(
            f"{config.data.source} must have at least 2 classes, got "
            f"{source.num_classes}; put the images of each class into a folder of its "
            "own, or label each image"
        )
