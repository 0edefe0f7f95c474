"""A checkpoint's model with its parameters on a mesh, and how to use it."""

import dataclasses
from typing import Any

from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.checkpoints.place import place_params
from vit_jax.checkpoints.record import SIGMOID, SOFTMAX, Checkpoint
from vit_jax.checkpoints.trees import make_printable
from vit_jax.config import Config, DataConfig, ModelConfig, Preprocessing
from vit_jax.config.choices import SOURCES
from vit_jax.errors import ConfigError

_IMAGE_SIZE = (224, 224)  # of weights that fit any size and name none
_BATCH_SIZE = 64  # of an evaluation; divides over the devices of any usual host


@dataclasses.dataclass(frozen=True, eq=False)  # equal by identity
class Loaded:
    """A model with its parameters, and how to use it.

    Attributes:
      name: what was asked for.
      model: its layers are a loop, whatever they were in training, unless asked otherwise.
      params: float32, on the devices of ``mesh``.
      config: of the model, resolved.
      preprocessing: what the images must look like.
      num_classes: None: the model has no head, and returns its features.
      class_names: in the order of the logits.
      loss: it was trained with; ``sigmoid`` makes probabilities of its logits where
        it is that, ``softmax`` where it is any other.
      run: the whole config, where the checkpoint is a run's.
      step: completed updates of that run.
      notes: what was assumed on the way, one sentence each; they are logged, too.
    """

    name: str
    model: nn.Module
    params: Any
    mesh: Mesh
    config: ModelConfig
    preprocessing: Preprocessing
    num_classes: int | None
    class_names: tuple[str, ...] | None
    loss: str = SOFTMAX
    run: Config | None = None
    step: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_layers(self) -> int:
        """l, the number of blocks."""
        assert self.config.num_layers is not None
        return self.config.num_layers

    @property
    def num_prefix(self) -> int:
        """How many tokens stand before the patches."""
        return models.count_prefix(self.config)

    @property
    def has_class_token(self) -> bool:
        """Whether token 0 is a class token."""
        return models.has_class_token(self.config)

    def need_head(self) -> int:
        """Returns the number of classes.

        Raises:
          ConfigError: the checkpoint has no head.
        """
        if self.num_classes is None:
            raise ConfigError(
                f"{self.name} must have a classification head, got features only; "
                "fine-tune it, or use `vit-jax features`"
            )
        return self.num_classes

    def data(self, source: str | None = None) -> DataConfig:
        """Returns how a dataset is read for this model: the run's, or another.

        Raises:
          ConfigError: the checkpoint is not a run's, and ``source`` is not given.
        """
        if self.run is not None:
            data = self.run.data
            return dataclasses.replace(
                data,
                source=source or data.source,
                eval_batch_size=self._share(data.eval_batch_size or data.batch_size),
                **dataclasses.asdict(self.preprocessing),
            )
        if source is None:
            raise ConfigError(
                f"--source must be given for {self.name}, which is not a workdir and names "
                f"no data; use {SOURCES.format_names()}"
            )
        fields = dataclasses.asdict(self.preprocessing)
        return DataConfig(source=source, batch_size=self._share(_BATCH_SIZE), **fields)

    def _share(self, batch_size: int) -> int:
        """Rounds a batch up so that the devices can share it; the rest is padding."""
        return -(-batch_size // self.mesh.size) * self.mesh.size


def place_model(name: str, checkpoint: Checkpoint, mesh: Mesh) -> Loaded:
    """Returns an opened checkpoint's model with its parameters on a mesh.

    Args:
      name: what the checkpoint was asked for as.
      checkpoint: fitted; its model says whether the layers are stacked.
      mesh: on which the parameters are placed.
    """
    model, notes = checkpoint.model, checkpoint.notes
    if checkpoint.preprocessing is None:
        notes = (*notes, "the file names no image size; 224 pixels are assumed")
    if checkpoint.loss not in (SOFTMAX, SIGMOID):
        notes = (
            *notes,
            f"it was trained with the loss {make_printable(checkpoint.loss)}, of which "
            f"probabilities are taken by {SOFTMAX}",
        )
    return Loaded(
        name=name,
        model=models.build_model(model, checkpoint.num_classes),
        params=place_params(checkpoint, mesh, scan=model.scan),
        mesh=mesh,
        config=models.resolve_model(model),
        preprocessing=checkpoint.preprocessing or Preprocessing(_IMAGE_SIZE),
        num_classes=checkpoint.num_classes,
        class_names=checkpoint.class_names,
        loss=checkpoint.loss,
        run=checkpoint.run,
        step=checkpoint.step,
        notes=notes,
    )
