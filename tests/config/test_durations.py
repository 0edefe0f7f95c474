"""Epochs, examples and percent as updates."""

import pytest

from tests.runs import TINY, change
from vit_jax.config.durations import Steps, resolve_steps
from vit_jax.errors import ConfigError


def steps(train, optim=None, num_examples=1000):
    clear = dict.fromkeys(("total_steps", "eval_every_steps", "save_every_steps"), None)
    config = change(
        TINY,
        train={**clear, **train},
        optim={"warmup_steps": None, **(optim or {})},
        data={"batch_size": 40},
    )
    return resolve_steps(config, num_examples)


def test_units():
    got = steps(
        {"total_epochs": 4.0, "eval_every_percent": 10.0, "save_every_epochs": 1.0},
        {"warmup_percent": 5.0},
    )
    assert got == Steps(total=100, warmup=5, eval_every=10, save_every=25, log_every=2)


def test_nothing_given_means_at_the_end():
    got = steps({"total_examples": 400})
    assert (got.total, got.eval_every, got.save_every, got.warmup) == (10, 10, 10, 0)


def test_a_fraction_of_a_step_is_one():
    assert steps({"total_steps": 10, "eval_every_epochs": 0.001}).eval_every == 1


def test_a_run_of_one_step_has_no_share_to_warm_up_in():
    assert steps({"total_steps": 1}, {"warmup_percent": 5.0}).warmup == 0
    assert steps({"total_steps": 2}, {"warmup_percent": 5.0}).warmup == 1


def test_a_short_run_shows_its_course():
    assert [steps({"total_steps": n}).log_every for n in (3, 8, 40)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("train", "optim", "message"),
    [
        ({}, {}, "add --config.train.total_epochs=10"),
        ({"total_steps": 0}, {}, "must have total_steps"),
        ({"total_steps": 5, "total_epochs": 1.0}, {}, "got 2; remove all but one"),
        ({"total_steps": -5}, {}, "must be finite and >= 0, got -5"),
        ({"total_steps": 5}, {"warmup_steps": 5}, "shorter than the run of 5 steps"),
    ],
)
def test_refuses(train, optim, message):
    with pytest.raises(ConfigError, match=message):
        steps(train, optim)
