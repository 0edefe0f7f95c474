"""Batches put onto the devices ahead of time, so that a step never waits for a copy."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from vit_jax.data.loader import TrainBatches


class Prefetch(Iterator[Any]):
    """A thread draws batches and puts them; ``next`` gives one that is there already.

    Args:
      batches: what is drawn from.
      put: starts the transfer of a batch; returns what ``next`` will.
      depth: batches ahead, each in the devices' memory.

    Attributes:
      waited: seconds that ``next`` had to wait, in all.
    """

    def __init__(
        self, batches: TrainBatches, put: Callable[[Any], Any], depth: int = 2
    ) -> None:
        self._batches = batches
        self._put = put
        self._ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._step = 0
        self.waited = 0.0

    def __next__(self) -> Any:
        if self._thread is None:
            self._step = self._batches.get_state()["step"]
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        start = time.perf_counter()
        batch, error = self._ready.get()
        self.waited += time.perf_counter() - start
        if error is not None:
            raise error
        self._step += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Returns the position behind the last batch given, not the last one drawn."""
        if self._thread is None:
            return self._batches.get_state()
        return {"step": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        """Moves to a position; only before the first ``next``."""
        assert self._thread is None, "a prefetch that runs cannot be moved"
        self._batches.set_state(state)

    def close(self) -> None:
        """Stops reading ahead."""
        self._stop.set()
        if self._thread is not None:
            while self._thread.is_alive():
                try:  # it may wait for room
                    self._ready.get_nowait()
                except queue.Empty:
                    self._thread.join(timeout=0.01)
        self._batches.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._put(next(self._batches)), None
            except BaseException as error:  # noqa: BLE001 (for whoever asks for the batch)
                item = None, error
            self._ready.put(item)
            if item[1] is not None:
                return
