"""An XLA profile of chosen updates, for TensorBoard's profile plugin or Perfetto."""

from pathlib import Path
from typing import Any

import jax

from vit_jax.config import Pair


class Profiler:
    """Traces updates ``first`` to ``last`` into ``workdir/profile``.

    Args:
      updates: (first, last), both traced, counted from 1; None: nothing is traced.
      workdir: of the run.
    """

    def __init__(self, updates: Pair | None, workdir: Path):
        self._first, self._last = updates or (0, 0)
        self._folder = workdir / "profile"
        self._active = False

    def before(self, step: int, state: Any) -> None:
        """Starts the trace if update ``step``, the next one, is the first of it."""
        if step == self._first:
            jax.block_until_ready(state)  # what still runs is not part of the trace
            jax.profiler.start_trace(str(self._folder))
            self._active = True

    def after(self, step: int, update: Any) -> None:
        """Ends the trace if update ``step`` was the last of it; ``update`` is its result."""
        if step == self._last:
            jax.block_until_ready(update)
            self.close()

    def close(self) -> None:
        """Ends a trace that a shorter or interrupted run leaves open."""
        if self._active:
            self._active = False
            jax.profiler.stop_trace()
