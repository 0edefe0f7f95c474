"""An objective that the package does not know: which of four ways an image is turned.

Two views of each image, turned alike; the model says which way from one of them, and
must agree with an averaged copy of itself, which sees the other. It uses every part of
the protocol: streams of its own, a trained parameter, kept arrays, rows and sums.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vit_jax.config import Config
from vit_jax.data.augment import prepare_images
from vit_jax.objectives.objective import Aux, Learner, Objective, compute_means

DECAY = 0.5  # of the copy and of the centre


def turn(images: jax.Array, ways: jax.Array) -> jax.Array:
    """Returns each image [b, h, w, c] turned by as many right angles as its way [b]."""
    for way in (1, 2, 3):
        turned = jnp.rot90(images, way, axes=(1, 2))
        images = jnp.where((ways == way)[:, None, None, None], turned, images)
    return images


def make_turns(config: Config, num_classes: int) -> Objective:
    """Predict which way an image is turned, in agreement with an averaged copy."""
    del num_classes
    data = config.data

    def views(batch: Any, keys: Any) -> Any:
        count = len(batch["image"])
        ways = jax.random.randint(keys["ways"], (count,), 0, 4)
        one, other = (
            prepare_images(turn(batch["image"], ways), keys[stream], data, train=True)
            for stream in ("augment", "other view")
        )
        return one, other, jax.nn.one_hot(ways, 4)

    def loss(learner: Learner, views: Any, keys: Any) -> Any:
        one, other, ways = views
        rngs = {"dropout": keys["dropout"]}
        logits = learner.apply(learner.params, one, train=True, rngs=rngs)
        logits = logits + learner.own["bias"][None]
        copied = learner.apply(learner.kept["copy"], other, train=False)
        wanted = jax.nn.softmax(copied - learner.kept["centre"][None])
        agreement = optax.softmax_cross_entropy(logits, wanted).mean()
        value = optax.softmax_cross_entropy(logits, ways).mean() + agreement
        return value, Aux({"agreement": agreement}, {"centre": copied.mean(axis=0)})

    def update(learner: Learner, seen: Any) -> Any:
        new = {"copy": learner.params, "centre": seen["centre"]}
        return optax.incremental_update(new, learner.kept, 1 - DECAY)

    def evaluate(learner: Learner, batch: Any) -> Any:
        mask = batch["mask"]
        ways = jnp.arange(len(mask)) % 4
        images = prepare_images(turn(batch["image"], ways), None, data, train=False)
        found = learner.apply(learner.params, images, train=False)
        found = (found + learner.own["bias"][None]).argmax(axis=1)
        copied = learner.apply(learner.kept["copy"], images, train=False).argmax(axis=1)
        return {
            "count": mask.sum(),
            "right": (mask & (found == ways)).sum(),
            "agree": (mask & (found == copied)).sum(),
            "found": found,
            "mask": mask,
        }

    def finish(sums: Any, rows: Any) -> Any:
        counts = np.bincount(rows["found"], minlength=4)
        return {**compute_means(sums, rows), "most": counts.max() / counts.sum()}

    return Objective(
        views=views,
        loss=loss,
        evaluate=evaluate,
        finish=finish,
        describe=lambda metrics: f"turned right {metrics['right']:.1%}",
        outputs=4,
        init=lambda params, key: (
            {"bias": 0.01 * jax.random.normal(key, (4,))},
            {"copy": params, "centre": jnp.zeros(4)},
        ),
        update=update,
        axes=(("bias", (None,)), ("centre", (None,))),
    )
