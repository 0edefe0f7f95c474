"""Ctrl-C and SIGTERM as a flag, so that a run can save before it ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """While entered, a signal sets ``received`` to its number; a second one acts as before.

    >>> with Interrupts() as interrupts:
    ...     while not interrupts.received:
    ...         work()
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere nothing changes.
        is_main = threading.current_thread() is threading.main_thread()
        signals = self.SIGNALS if is_main else ()
        self._before = {s: signal.signal(s, self._note) for s in signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        # Whoever asks twice does not want to wait for the save.
        signal.signal(number, self._before[signal.Signals(number)])
