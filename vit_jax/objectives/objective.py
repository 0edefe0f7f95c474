"""An objective: a record of functions that say what is learned from a batch.

The step differentiates, reduces and updates; whatever depends on the task is here.
Every function is pure, so that a run resumes bit for bit: what is random comes from the
keys, what lasts is in the state.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import flax.struct
import jax
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import Config, Preprocessing
from vit_jax.data.sources import Source
from vit_jax.mesh.sharding import Axes
from vit_jax.models.apply import apply_model
from vit_jax.objectives.keys import StepKeys

Batch = dict[str, Any]
Apply = Callable[..., Float[Array, "b y"]]


@dataclasses.dataclass(frozen=True)
class Constant:
    """A model of a checkpoint that an objective is handed, and that does not change.

    Attributes:
      preprocessing: what its images must look like.
    """

    model: nn.Module
    params: Any
    preprocessing: Preprocessing

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b y"]:
        """Returns its outputs, for images as its own preprocessing makes them."""
        return apply_model(self.model, self.params, images, train=False)


@dataclasses.dataclass(frozen=True)
class Learner:
    """What a loss, an update and an evaluation work with.

    Attributes:
      apply: ``(params, images, *, train, **options) -> outputs`` in float32. ``params``
        are the model's, or a copy of them that is kept. In training the rates that are
        0 stop gradients, and positions are fitted to the images' size.
      params: of the model; in an evaluation, those that are evaluated.
      own: what the objective itself trains.
      kept: what it keeps without gradients.
      constants: by name.
    """

    apply: Apply
    params: Any
    own: Any = None
    kept: Any = None
    constants: Mapping[str, Constant] = dataclasses.field(default_factory=dict)


class Aux(flax.struct.PyTreeNode):
    """What a loss returns beside its value; averaged over the micro-batches of a step.

    Attributes:
      metrics: scalars for the log.
      seen: arrays for ``update``.
    """

    metrics: dict[str, Float[Array, ""]] = flax.struct.field(default_factory=dict)
    seen: Any = ()


def compute_means(
    sums: dict[str, float], rows: dict[str, np.ndarray]
) -> dict[str, float]:
    """Returns each sum divided by ``count``, and the count as an int."""
    del rows
    count = int(sums["count"])
    means = {name: value / count for name, value in sums.items() if name != "count"}
    return {**means, "count": count}


def describe_means(metrics: Mapping[str, float]) -> str:
    """Returns ``name value  name value  (count images)``."""
    parts = [f"{name} {value:.4f}" for name, value in metrics.items()
             if name != "count"]  # fmt: skip
    return "  ".join([*parts, f"({metrics['count']} images)"])


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is learned.

    Attributes:
      views: ``(batch, keys) -> views``, on the device, without gradients: augment, mix
        and scale uint8 images. Any tree.
      loss: ``(learner, views, keys) -> (float32 [], Aux)``, a mean over the examples.
      evaluate: ``(learner, batch) -> values`` of one padded batch, of which the bool
        ``mask`` [b] keeps the examples. Scalars, with ``count`` among them, are summed
        over the batches; arrays [b, ...] are collected, where ``mask`` is returned too.
      finish: ``(sums, rows) -> metrics``, once, on the host.
      describe: ``metrics -> str``, for the log.
      outputs: width of the model's head: ``"classes"``, one for each class of the data;
        a number; or None, no head: the outputs are features.
      init: ``(params, key) -> (own, kept)``: dictionaries, or None for nothing. ``own``
        is trained, with paths that begin with ``own/`` in tables of multipliers.
        ``kept`` has no gradients. It may hold copies of the model's parameters.
      update: ``(learner, seen) -> kept``, after the step: the learner has the new
        parameters and the old ``kept``.
      axes: logical axes of the arrays in ``own`` and ``kept``, by their path there. A
        kept copy of the model needs none.
      constants: name -> checkpoint (a path or a published name), which is opened when
        the run starts.
      check: raises ConfigError where it does not suit the data.
    """

    views: Callable[[Batch, StepKeys], Any]
    loss: Callable[[Learner, Any, StepKeys], tuple[Float[Array, ""], Aux]]
    evaluate: Callable[[Learner, Batch], dict[str, Array]]
    finish: Callable[[dict[str, float], dict[str, np.ndarray]], dict[str, float]] = (
        compute_means
    )
    describe: Callable[[Mapping[str, float]], str] = describe_means
    outputs: int | Literal["classes"] | None = "classes"
    init: Callable[[Any, jax.Array], tuple[Any, Any]] = lambda params, key: (None, None)
    update: Callable[[Learner, Any], Any] = lambda learner, seen: learner.kept
    axes: Axes = ()
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: Callable[[Source], None] = lambda source: None

    def count_outputs(self, num_classes: int) -> int | None:
        """Returns the width of the head for data of ``num_classes``."""
        return num_classes if self.outputs == "classes" else self.outputs

    def name_outputs(self, source: Source) -> tuple[str, ...] | None:
        """Returns what the outputs are called, where they are the data's classes."""
        return source.class_names if self.outputs == "classes" else None


class MakeObjective(Protocol):
    """A row of the table of objectives, and what ``train(objective=...)`` takes."""

    def __call__(self, config: Config, num_classes: int) -> Objective:
        """Returns the objective of a run.

        Args:
          config: resolved.
          num_classes: of the data.
        """
        ...
