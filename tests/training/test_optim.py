"""Schedules of the original, and tables keyed by parameter path."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.config import OptimConfig
from vit_jax.config.durations import Steps
from vit_jax.errors import ConfigError
from vit_jax.training.multipliers import match_multipliers
from vit_jax.training.optimizers import make_optimizer
from vit_jax.training.schedules import make_schedule

PARAMS = {
    "head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
    "block": {"kernel": jnp.ones((2, 2))},
}


def steps(total, warmup):
    return Steps(total, warmup, eval_every=1, save_every=1, log_every=1)


def test_schedule_gives_the_originals_rates(golden):
    cases = json.loads((golden / "schedule" / "learning_rate.json").read_text())[
        "cases"
    ]
    checked = 0
    for case in cases:
        config = OptimConfig(
            learning_rate=case["base"],
            schedule=case["decay_type"],
            linear_end=case["linear_end"],
        )
        schedule = make_schedule(
            config, steps(case["total_steps"], case["warmup_steps"])
        )
        got = jax.jit(jax.vmap(schedule))(jnp.asarray(case["steps"], jnp.int32))
        np.testing.assert_allclose(
            got, case["learning_rate"], rtol=0, atol=1e-6 * case["base"]
        )
        checked += len(case["steps"])
    assert checked > 100


def test_constant_schedule_warms_up():
    config = OptimConfig(learning_rate=0.5, schedule="constant")
    schedule = make_schedule(config, steps(10, 2))
    np.testing.assert_allclose([schedule(i) for i in (0, 1, 2, 9)], [0, 0.25, 0.5, 0.5])


def test_first_match_wins():
    got = match_multipliers(
        PARAMS, (("head/.*", 2.0), (".*/kernel", 3.0), (".*", 4.0)), "t"
    )
    assert got == {"head": {"kernel": 2.0, "bias": 2.0}, "block": {"kernel": 3.0}}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ((("head/.*", 1.0),), 'none matches "block/kernel"; end it with'),
        ((("haed/.*", 1.0), (".*", 0.0)), '"haed/.\\*", which matches no parameter'),
        ((("head", 1.0), (".*", 0.0)), '"head", which matches no parameter'),
        ((("(", 1.0),), "regular expressions"),
    ],
)
def test_a_table_that_does_not_fit_is_told(table, message):
    with pytest.raises(ConfigError, match=message):
        match_multipliers(PARAMS, table, "optim.learning_rate_multipliers")


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_multiplier_that_would_climb_is_told(value):
    table = (("head/.*", value), (".*", 1.0))
    with pytest.raises(ConfigError, match=r'of "head/\.\*" must be finite and >= 0'):
        match_multipliers(PARAMS, table, "optim.learning_rate_multipliers")


def test_a_run_that_would_train_nothing_is_told():
    with pytest.raises(ConfigError, match="must leave something to train"):
        one_update(learning_rate_multipliers=((".*", 0.0),))


def one_update(**fields):
    config = OptimConfig(schedule="constant", clip_global_norm=0.0, **fields)
    optimizer = make_optimizer(config, lambda _: 0.1, PARAMS)
    gradients = jax.tree.map(jnp.ones_like, PARAMS)
    return optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)[0]


def test_sgd_scales_each_parameter_by_its_multiplier():
    table = (("head/kernel", 0.5), ("head/bias", 0.0), (".*", 1.0))
    got = one_update(learning_rate_multipliers=table)
    np.testing.assert_allclose(got["head"]["kernel"], np.full((2, 3), -0.05), rtol=1e-6)
    np.testing.assert_allclose(got["block"]["kernel"], np.full((2, 2), -0.1), rtol=1e-6)
    assert not got["head"]["bias"].any()


def test_weight_decay_is_decoupled_and_spares_biases():
    got = one_update(name="adamw", weight_decay=0.5)
    # Adam's first step is the sign of the gradient; 0.5 of the parameter is added.
    # Its bias correction divides by 1 - 0.999, which float32 has to 1e-5.
    np.testing.assert_allclose(
        got["block"]["kernel"], np.full((2, 2), -0.15), rtol=1e-5
    )
    np.testing.assert_allclose(got["head"]["bias"], np.full(3, -0.1), rtol=1e-5)


def test_weight_decay_with_frozen_parameters():
    table = (("head/.*", 1.0), (".*", 0.0))
    got = one_update(weight_decay=0.5, learning_rate_multipliers=table)
    np.testing.assert_allclose(got["head"]["kernel"], np.full((2, 3), -0.15), rtol=1e-6)
    assert not got["block"]["kernel"].any()


def test_clips_by_global_norm():
    config = OptimConfig(schedule="constant", clip_global_norm=1.0, momentum=0.0)
    optimizer = make_optimizer(config, lambda _: 1.0, PARAMS)
    gradients = jax.tree.map(lambda p: 100.0 * p, PARAMS)
    updates, _ = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
    norm = np.sqrt(sum((u**2).sum() for u in jax.tree.leaves(updates)))
    np.testing.assert_allclose(norm, 1.0, rtol=1e-6)
