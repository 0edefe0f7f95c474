"""A trace of exactly the updates that were asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from tests.runs import TINY, change
from vit_jax.errors import ConfigError
from vit_jax.training.loop import train
from vit_jax.training.profiler import Profiler


def run(profiler, monkeypatch, steps):
    """Returns which updates ran between the start and the end of the trace."""
    events = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda _: events.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: events.append("stop"))
    for step in steps:
        profiler.before(step, jnp.zeros(()))
        events.append(step)
        profiler.after(step, jnp.zeros(()))
    profiler.close()
    return events


def test_traces_first_to_last(tmp_path, monkeypatch):
    events = run(Profiler((2, 3), tmp_path), monkeypatch, range(1, 6))
    assert events == [1, "start", 2, 3, "stop", 4, 5]


def test_a_run_that_ends_early_closes_its_trace(tmp_path, monkeypatch):
    assert run(Profiler((2, 9), tmp_path), monkeypatch, [1, 2]) == [
        1, "start", 2, "stop",
    ]  # fmt: skip


def test_nothing_is_traced_unless_asked(tmp_path, monkeypatch):
    assert run(Profiler(None, tmp_path), monkeypatch, [1, 2]) == [1, 2]


@pytest.mark.parametrize("updates", [(3, 2), (0, 2)])
def test_the_last_must_not_stand_before_the_first(updates):
    with pytest.raises(ConfigError, match=r"config.profile must be \(first, last\)"):
        dataclasses.replace(TINY, profile=updates)


def test_a_run_leaves_its_trace(tmp_path):
    config = change(TINY, train={"total_steps": 3})
    train(dataclasses.replace(config, profile=(2, 2)), tmp_path)
    assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1
