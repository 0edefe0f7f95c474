"""The random keys of a step, by the name of their stream."""

import dataclasses
from typing import Any

import jax

from vit_jax.models.init import derive_key


@dataclasses.dataclass(frozen=True)
class StepKeys:
    """``keys["augment"]`` is the key of that stream in one micro-batch of one step.

    Each is a function of seed, name, step and micro-batch, so that a resumed run draws
    what it would have drawn. Any name is a stream of its own.

    Attributes:
      seed: of the run.
      step: completed updates, an int or int32 [].
      part: of the micro-batch, likewise.
    """

    seed: int
    step: Any
    part: Any = 0

    def __getitem__(self, stream: str) -> jax.Array:
        key = derive_key(self.seed, stream, self.step)
        return jax.random.fold_in(key, self.part)

    def select_part(self, part: Any) -> "StepKeys":
        """Returns the keys of a micro-batch of the same step."""
        return dataclasses.replace(self, part=part)
