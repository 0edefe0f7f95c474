"""What a caller gives `train` in the place of what the config names."""

import chex
import jax
import numpy as np
import optax
import pytest

from tests.objectives.test_turns import Stop, stop_at
from tests.runs import TINY, change, program_on
from tests.training.test_train import assert_same_run, lines_of
from vit_jax.checkpoints.card import read_card
from vit_jax.checkpoints.load import load
from vit_jax.config.choices import OPTIMIZERS
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import evaluate
from vit_jax.mesh.sharding import shard_batch
from vit_jax.training.loop import train
from vit_jax.training.optimizers import Optimizer

SMALL = change(
    TINY,
    model={"num_layers": 1, "mlp_dim": 16},
    optim={"learning_rate": 1e-3},
    train={"total_steps": 4, "eval_every_steps": 4, "log_every_steps": 1},
)


class Squares:
    """Bright squares on the left or on the right: the label says which."""

    multi_label = False
    class_names = ("left", "right")
    num_classes = 2

    def __init__(self, num_examples: int):
        self.num_examples = num_examples
        self.read: set[int] = set()

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, index: int) -> dict:
        self.read.add(index)
        image, label = np.zeros((8, 8, 3), np.uint8), index % 2
        image[2:6, 4 * label : 4 * label + 4] = 255
        return {"image": image, "label": label, "name": f"square {index}"}


def scale_by_lion(config, schedule):
    """The sign of a momentum (Chen et al. 2023)."""
    del schedule
    return optax.scale_by_lion(config.b1, config.b2)


def invert_some(images, key):
    """Half of the images, with dark for bright."""
    chosen = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jax.numpy.where(chosen, 255 - images, images)


def run(workdir, callbacks=()):
    return train(
        SMALL,
        workdir,
        source=Squares(40),
        eval_source=Squares(10),
        optimizer=scale_by_lion,
        augment=invert_some,
        callbacks=callbacks,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a run of given parts, and what its callback was told."""
    workdir, told = tmp_path_factory.mktemp("given"), []
    run(workdir, [lambda kind, step, values: told.append((kind, step, values))])
    return workdir, told


def test_each_takes_its_place_and_is_recorded_by_name(whole):
    workdir, told = whole
    card = read_card(workdir)
    assert card is not None
    assert card["class_names"] == ["left", "right"]
    assert card["config"]["optim"]["name"] == "scale_by_lion"
    assert card["config"]["data"]["augment"] == "invert_some"
    assert card["metrics"]["count"] == 10
    lines = [(kind, step) for kind, step, _ in told]
    assert lines == [
        ("train", 1),
        ("train", 2),
        ("train", 3),
        ("train", 4),
        ("eval", 4),
    ]
    logged = [line["loss"] for line in lines_of(workdir)]
    assert [values["loss"] for _, _, values in told] == logged


def test_a_later_evaluation_reads_no_other_source(whole):
    with pytest.raises(ConfigError, match=r'data\.source must be .*, got "Squares"'):
        evaluate(whole[0])


def test_they_resume_bit_identical(whole, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, [stop_at(2)])
    run(tmp_path)
    assert_same_run(tmp_path, whole[0])


def test_another_optimizer_is_refused(whole):
    with pytest.raises(
        ConfigError, match=r"optim\.name is scale_by_lion there and sgd"
    ):
        train(SMALL, whole[0], source=Squares(40), eval_source=Squares(10))


def test_a_checkpoint_is_loaded_without_what_trained_it(whole, monkeypatch):
    monkeypatch.delitem(OPTIMIZERS._rows, "scale_by_lion")
    loaded = load(whole[0])
    assert loaded.class_names == ("left", "right")
    assert loaded.run is not None
    assert loaded.run.optim.name == "scale_by_lion"


def test_a_source_needs_one_to_evaluate_on(tmp_path):
    with pytest.raises(ConfigError, match="eval_source must be given with source"):
        train(SMALL, tmp_path, source=Squares(40))


def make_schedule_free(config, schedule):
    """Schedule-free SGD (Defazio et al. 2024): what is evaluated is an average."""
    return Optimizer(
        direction=optax.identity(),
        wrap=lambda chain: optax.contrib.schedule_free(chain, schedule, b1=0.9),
        evaluate=optax.contrib.schedule_free_eval_params,
    )


def test_an_optimizer_says_which_parameters_are_evaluated():
    name = {"name": OPTIMIZERS.adopt(make_schedule_free), "schedule": "constant"}
    config = change(SMALL, optim=name | {"warmup_steps": 0, "learning_rate": 0.1})
    program, mesh = program_on(config, 8, num_classes=10)
    state = program.init()
    batch = {
        "image": np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8),
        "label": np.arange(32, dtype=np.int32) % 10,
    }
    for _ in range(3):
        state, _ = program.train_step(state, shard_batch(batch, mesh))
    expected = optax.contrib.schedule_free_eval_params(state.opt_state, state.params)
    chex.assert_trees_all_close(
        jax.device_get(state.evaluated.params), jax.device_get(expected), rtol=1e-6
    )
    assert not np.array_equal(
        state.evaluated.params["head"]["kernel"], state.params["head"]["kernel"]
    )
    averaged = change(config, train={"ema_decay": 0.9})
    with pytest.raises(ConfigError, match=r"ema_decay must be None with make_sched"):
        program_on(averaged, 8, num_classes=10)
