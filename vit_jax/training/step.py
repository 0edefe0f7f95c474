"""One update and one evaluation of a batch, as pure functions to be jitted."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from vit_jax.config import Config
from vit_jax.data.augment.mix import mix_examples
from vit_jax.models.init import derive_key
from vit_jax.models.progressive import fit_positions
from vit_jax.objectives.losses import LOSSES, make_targets
from vit_jax.training.optim import stop_frozen
from vit_jax.training.state import TrainState

Batch = dict[str, Any]
Prepare = Callable[..., Float[Array, "b h w c"]]  # uint8 images → the model's input


def apply_model(
    model: nn.Module, params: Any, images: Float[Array, "b h w c"], **options: Any
) -> Float[Array, "b y"]:
    """Returns logits in float32, whatever the model computes in."""
    logits = model.apply({"params": params}, images, **options)
    return cast(Array, logits).astype(jnp.float32)


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    prepare: Prepare,
    config: Config,
    num_classes: int,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Returns ``(state, batch) -> (state, metrics)``.

    A batch is cut into ``accum_steps`` micro-batches, run one after the other; loss and
    gradients are their means, then there is one clip and one update.

    Args:
      prepare: ``(images uint8, key, train=...) -> images`` on the device.
      num_classes: width of the logits.
    """
    loss_per_example = LOSSES[config.train.loss]
    parts = config.train.accum_steps
    decay = config.train.ema_decay
    smoothing = config.train.label_smoothing

    def loss_fn(
        params: Any, images: UInt8[Array, "b h w c"], labels: Array, keys: Any
    ) -> Float[Array, ""]:
        params = stop_frozen(config.optim, params)
        inputs = prepare(images, keys["augment"], train=True)
        targets = make_targets(labels, num_classes, smoothing)
        inputs, targets = mix_examples(
            inputs, targets, keys["mix"], config.data.mixup, config.data.cutmix
        )
        params = fit_positions(
            params,
            config.model,
            config.data.image_size,
            (inputs.shape[1], inputs.shape[2]),
        )
        rngs = {"dropout": keys["dropout"]}
        logits = apply_model(model, params, inputs, train=True, rngs=rngs)
        return loss_per_example(logits, targets).mean()

    def micro_batch(state: TrainState, batch: Batch, part: Any) -> tuple[Array, Any]:
        keys = {
            stream: jax.random.fold_in(
                derive_key(config.seed, stream, state.step), part
            )
            for stream in ("augment", "mix", "dropout")
        }
        return jax.value_and_grad(loss_fn)(
            state.params, batch["image"], batch["label"], keys
        )

    def accumulate(state: TrainState, batch: Batch) -> tuple[Array, Any]:
        if parts == 1:
            return micro_batch(state, batch, 0)
        # Part i takes rows i, i + parts, ...: a device whose number of rows ``parts``
        # divides cuts up its own, and none crosses to another.
        batch = jax.tree.map(
            lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch
        )

        def add(total: Any, part: Any) -> tuple[Any, None]:
            index, rows = part
            return jax.tree.map(jnp.add, total, micro_batch(state, rows, index)), None

        zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), state.params))
        total, _ = jax.lax.scan(add, zeros, (jnp.arange(parts), batch))
        return jax.tree.map(lambda x: x / parts, total)

    def train_step(
        state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        loss, gradients = accumulate(state, batch)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        metrics = {
            "loss": loss,
            "learning_rate": schedule(state.step),
            "gradient_norm": optax.tree.norm(gradients),
        }
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if decay is not None:
            ema = optax.incremental_update(params, ema, 1 - decay)
        return TrainState(state.step + 1, params, opt_state, ema), metrics

    return train_step


def make_eval_step(
    model: nn.Module, prepare: Prepare, loss: str, num_classes: int
) -> Callable[[Any, Batch], dict[str, Array]]:
    """Returns ``(params, batch) -> sums`` over the rows that ``mask`` keeps.

    ``top5`` counts among the first ``min(5, num_classes)``. Of images with several
    labels, any one will do; their ``scores`` [b, y], ``labels`` and ``mask`` are given
    too, for a measure that looks at all images at once.
    """
    loss_per_example = LOSSES[loss]

    def eval_step(params: Any, batch: Batch) -> dict[str, Array]:
        inputs = prepare(batch["image"], None, train=False)
        logits = apply_model(model, params, inputs, train=False)
        labels, mask = batch["label"], batch["mask"]
        targets = make_targets(labels, num_classes)
        losses = loss_per_example(logits, targets)
        _, best = jax.lax.top_k(logits, min(5, num_classes))
        hits = jnp.take_along_axis(targets, best, axis=1) > 0
        sums = {
            "count": mask.sum(),
            "loss": jnp.where(mask, losses, 0).sum(),
            "top1": (hits[:, 0] & mask).sum(),
            "top5": (hits.any(axis=1) & mask).sum(),
        }
        if labels.ndim == 2:
            sums |= {"scores": logits, "labels": labels, "mask": mask}
        return sums

    return eval_step
