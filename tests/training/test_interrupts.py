"""Signals as a flag."""

import signal
import threading

import pytest

from vit_jax.training.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, stop)
    try:
        with Interrupts() as interrupts:
            assert interrupts.received is None
            signal.raise_signal(number)
            assert interrupts.received == number
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_a_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter():
        with Interrupts() as interrupts:
            seen.append((signal.getsignal(signal.SIGINT), interrupts.received))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(before, None)]
    assert signal.getsignal(signal.SIGINT) is before
