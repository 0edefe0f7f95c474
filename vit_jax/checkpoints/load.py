"""Any checkpoint, ready to be used: a run's, a file's, or published weights by name."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import models
from vit_jax.checkpoints.card import read_card
from vit_jax.checkpoints.own import load_trained
from vit_jax.checkpoints.pretrained import load_pretrained
from vit_jax.config import (
    PLAIN,
    Config,
    DataConfig,
    MeshConfig,
    ModelConfig,
    Preprocessing,
)
from vit_jax.data import augment
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import bind_mesh, make_mesh, replicate_sharding
from vit_jax.storage import bucket

_LOG = logging.getLogger(__name__)
_IMAGE_SIZE = (224, 224)  # of weights that fit any size and name none
_BATCH_SIZE = 64  # of an evaluation; divides over the devices of any usual host


@dataclasses.dataclass(frozen=True, eq=False)  # one is equal to itself alone
class Loaded:
    """A model with its parameters, and how to use it.

    Attributes:
      name: what was asked for.
      model: its layers are a loop, whatever they were in training.
      params: float32, laid out on ``mesh``.
      config: of the model, resolved.
      preprocessing: what the images must look like.
      num_classes: None: the model has no head, and returns its features.
      class_names: in the order of the logits.
      loss: ``softmax`` or ``sigmoid``: what makes probabilities of its logits.
      run: the whole config, where the checkpoint is of a run of ours.
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
    loss: str = "softmax"
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
        """Returns how a data set is read for this model: the run's, or another.

        Raises:
          ConfigError: the checkpoint is of no run, and ``source`` is not given.
        """
        if self.run is not None:
            data = self.run.data
            return dataclasses.replace(
                data,
                source=source or data.source,
                eval_batch_size=self._share(data.eval_batch_size or data.batch_size),
            )
        if source is None:
            raise ConfigError(
                f"--source must be given for {self.name}, which is no workdir and knows "
                "no data; use digits, folder:DIR, table:FILE, tar:DIR or tfds:NAME"
            )
        fields = dataclasses.asdict(self.preprocessing)
        return DataConfig(source=source, batch_size=self._share(_BATCH_SIZE), **fields)

    def _share(self, batch_size: int) -> int:
        """Rounds a batch up to what the devices here can share; the rest is padding."""
        return -(-batch_size // self.mesh.size) * self.mesh.size


def load(name_or_path: str | Path, mesh: Mesh | None = None) -> Loaded:
    """Loads a workdir, a checkpoint file or folder of any format, or published weights.

    Args:
      name_or_path: a path, else a name that `vit_jax.weights` knows.
      mesh: over which the parameters are laid out; None: data parallel over all
        devices.

    Raises:
      ConfigError: there is no such checkpoint, or it is damaged.

    Example:
      >>> load("runs/digits").class_names
    """
    mesh = mesh or make_mesh(MeshConfig())
    path = bucket.find_location(name_or_path)
    if bucket.has_folder(path) and read_card(path) is not None:
        return _load_run(path, mesh)
    found = load_pretrained(name_or_path, mesh=mesh)
    notes = found.notes
    if found.preprocessing is None:
        notes = (*notes, "the file names no image size; 224 pixels are assumed")
    for note in notes:
        _LOG.info("%s", note)
    return Loaded(
        name=str(name_or_path),
        model=found.model,
        params=found.params,
        mesh=mesh,
        config=found.config,
        preprocessing=found.preprocessing or Preprocessing(_IMAGE_SIZE),
        num_classes=found.num_classes,
        class_names=found.class_names,
        notes=notes,
    )


def load_here(name_or_path: str | Path) -> Loaded:
    """Loads as `load`, onto this host's own devices: it needs no other host."""
    return load(name_or_path, make_mesh(MeshConfig(), jax.local_devices()))


def _load_run(path: Path, mesh: Mesh) -> Loaded:
    trained = load_trained(path, mesh)
    config = dataclasses.replace(trained.config.model, **PLAIN)
    return Loaded(
        name=str(path),
        model=trained.model,
        params=trained.params,
        mesh=mesh,
        config=config,
        preprocessing=trained.preprocessing,
        num_classes=trained.num_classes,
        class_names=trained.class_names,
        loss=trained.config.train.loss,
        run=trained.config,
        step=trained.card["step"],
    )


def make_function(
    loaded: Loaded, function: Callable[[Any, Any], Any]
) -> Callable[[Any], Any]:
    """Returns a jitted function of uint8 images [b, h, w, 3] of the checkpoint's size.

    Args:
      loaded: gives the preprocessing that is done on the device, and the parameters.
      function: ``(params, inputs) -> arrays``; inputs are as the model takes them.
    """

    def prepare_and_call(params: Any, images: Any) -> Any:
        inputs = augment.prepare_images(images, None, loaded.preprocessing, train=False)
        return function(params, inputs)

    compiled = jax.jit(
        bind_mesh(prepare_and_call, loaded.mesh),
        out_shardings=replicate_sharding(loaded.mesh),
    )
    return lambda images: compiled(loaded.params, images)
