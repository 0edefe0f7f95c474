"""Batches ahead of the step: order, position, errors, and the time waited."""

import time
from typing import Any

import pytest

from vit_jax.data.prefetch import Prefetch


class Counting:
    """Gives 0, 1, 2, ...; fails at ``end``."""

    def __init__(self, end: int = 10**9, seconds: float = 0.0) -> None:
        self.step, self.end, self.seconds, self.closed = 0, end, seconds, False

    def __next__(self) -> int:
        if self.step == self.end:
            raise ValueError("the end")
        time.sleep(self.seconds)
        self.step += 1
        return self.step - 1

    def get_state(self) -> dict[str, int]:
        return {"step": self.step}

    def set_state(self, state: dict[str, int]) -> None:
        self.step = state["step"]

    def close(self) -> None:
        self.closed = True


def prefetch(batches: Any) -> Prefetch:
    return Prefetch(batches, lambda batch: batch * 10)


def test_position_is_that_of_the_batches_given() -> None:
    source = Counting()
    batches = prefetch(source)
    batches.set_state({"step": 7})
    assert batches.get_state() == {"step": 7}
    assert [next(batches) for _ in range(3)] == [70, 80, 90]
    assert batches.get_state() == {"step": 10}
    batches.close()
    assert source.closed
    assert source.step > 10  # it had read ahead
    assert batches.get_state() == {"step": 10}


def test_error_comes_where_its_batch_would() -> None:
    batches = prefetch(Counting(end=2))
    assert [next(batches), next(batches)] == [0, 10]
    with pytest.raises(ValueError, match="the end"):
        next(batches)
    assert batches.get_state() == {"step": 2}
    batches.close()


def test_time_waited() -> None:
    slow = prefetch(Counting(seconds=0.02))
    for _ in range(5):
        next(slow)
    slow.close()
    assert slow.waited > 0.08
    fast = prefetch(Counting())
    next(fast)
    first = fast.waited
    for _ in range(5):
        time.sleep(0.02)
        next(fast)
    fast.close()
    assert fast.waited - first < 0.01


def test_close_before_the_first_batch() -> None:
    source = Counting()
    prefetch(source).close()
    assert source.closed
    assert source.step == 0
