"""What a caller's own code is called with while a run is under way."""

from collections.abc import Mapping
from typing import Protocol


class Callback(Protocol):
    """Called with every line of the log, on every host, with the same values.

    It cannot change the run, so that a resumed run stays bit-exact; what it keeps is
    its own, and is not saved. An exception that it raises ends the run, whose finished
    updates are saved first.
    """

    def __call__(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Takes note of a line.

        Args:
          kind: ``train`` or ``eval``.
          step: completed updates.
          values: ``loss``, ``learning_rate``, ``gradient_norm`` and what the objective
            adds; or what an evaluation counts.
        """
        ...
