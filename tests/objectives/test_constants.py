"""An objective is handed a published model, which is opened when the run starts."""

import functools

import jax
import jax.numpy as jnp
import pytest

from tests.conftest import GOLDEN
from tests.objectives.test_turns import Stop, stop_at
from tests.runs import TINY, change, program_on
from tests.training.test_train import assert_same_run, lines_of
from vit_jax.config.choices import OBJECTIVES
from vit_jax.data import prepare_images
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import evaluate
from vit_jax.objectives.objective import Aux, Objective
from vit_jax.training.loop import train

TEACHER = str(GOLDEN / "google_vit" / "token.linen.npz")
SMALL = change(
    TINY,
    model={"num_layers": 1, "patch_size": (16, 16)},
    data={"image_size": (32, 32), "eval_split": "test[:20]", "batch_size": 16},
    train={"total_steps": 3, "eval_every_steps": 3, "log_every_steps": 1},
)


def make_imitate(config, num_classes):
    """Predict the largest output of a published model."""
    del num_classes
    prepare = functools.partial(prepare_images, data=config.data)

    def measure(learner, images, **options):
        wanted = learner.constants["teacher"](images).max(axis=-1)
        found = learner.apply(learner.params, images, **options)[:, 0]
        return jnp.square(found - wanted)

    def loss(learner, images, keys):
        rngs = {"dropout": keys["dropout"]}
        return measure(learner, images, train=True, rngs=rngs).mean(), Aux()

    def evaluate(learner, batch):
        images = prepare(batch["image"], None, train=False)
        errors = measure(learner, images, train=False)
        mask = batch["mask"]
        return {"count": mask.sum(), "error": jnp.where(mask, errors, 0).sum()}

    return Objective(
        views=lambda batch, keys: prepare(batch["image"], keys["augment"], train=True),
        loss=loss,
        evaluate=evaluate,
        outputs=1,
        constants={"teacher": TEACHER},
    )


def test_it_is_handed_to_every_step_and_never_saved(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    result = train(SMALL, whole, objective=make_imitate)
    losses = [line["loss"] for line in lines_of(whole) if line["kind"] == "train"]
    assert losses[-1] < losses[0]
    assert result.summary == f"error {result.metrics['error']:.4f}  (20 images)"
    assert not list((whole / "checkpoints").rglob("*teacher*"))
    with pytest.raises(Stop):
        train(SMALL, stopped, objective=make_imitate, callbacks=[stop_at(2)])
    train(SMALL, stopped, objective=make_imitate)
    assert_same_run(whole, stopped)
    assert evaluate(whole)["error"] == pytest.approx(result.metrics["error"], rel=1e-5)


def test_a_plan_of_it_is_refused_by_name():
    config = change(SMALL, objective={"name": OBJECTIVES.adopt(make_imitate)})
    with pytest.raises(ConfigError, match=r"make_imitate must be handed .* teacher"):
        program_on(config, len(jax.devices()), num_classes=10)
