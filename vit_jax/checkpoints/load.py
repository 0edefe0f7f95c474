"""Any checkpoint, ready to be used: a run's, a file's, or published weights by name."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from jax.typing import DTypeLike

from vit_jax import models
from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.open import open_checkpoint
from vit_jax.checkpoints.place import place_params
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.config import (
    Config,
    DataConfig,
    MeshConfig,
    ModelConfig,
    Preprocessing,
)
from vit_jax.config.choices import SOURCES
from vit_jax.data import augment
from vit_jax.errors import ConfigError, check
from vit_jax.mesh.sharding import bind_mesh, make_mesh, replicate_sharding

_LOG = logging.getLogger(__name__)
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
      loss: ``softmax`` or ``sigmoid``: what makes probabilities of its logits.
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


def load(name_or_path: str | Path, mesh: Mesh | None = None) -> Loaded:
    """Loads a workdir, a checkpoint file or folder of any format, or published weights.

    Args:
      name_or_path: a path, else a name that `vit_jax.weights` knows.
      mesh: on which the parameters are placed; None: data parallel over all devices.

    Raises:
      ConfigError: there is no such checkpoint, or it is damaged.

    Example:
      >>> load("runs/digits").class_names
    """
    loaded = place_model(
        str(name_or_path),
        fit_checkpoint(open_checkpoint(name_or_path)),
        mesh or make_mesh(MeshConfig()),
    )
    for note in loaded.notes:
        _LOG.info("%s", note)
    return loaded


def load_here(name_or_path: str | Path) -> Loaded:
    """Loads as `load`, onto this host's own devices: it needs no other host."""
    return load(name_or_path, make_mesh(MeshConfig(), jax.local_devices()))


def load_pretrained(
    name_or_path: str | Path,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    dtype: DTypeLike = "float32",
    mesh: Mesh | None = None,
    *,
    config: ModelConfig | None = None,
    head: str = "auto",
    method: str = "bilinear",
    images: Preprocessing | None = None,
) -> Loaded:
    """Loads weights as `load` does, fitted to another task first.

    Args:
      name_or_path: a path, else a name that `vit_jax.weights` knows.
      num_classes: y; another number than the checkpoint's gives a new head of zeros.
        None: the checkpoint's.
      image_size: (height, width) in pixels, or the side of a square. None: the
        checkpoint's.
      dtype: of the computation; the parameters are float32.
      mesh: on which the parameters are placed; None: the first device.
      config: the model to be fitted to; None: the checkpoint's own. A new head leaves
        out the tanh pre-logits then, as the original does.
      head: ``auto``, ``keep`` or ``new``; see `checkpoints.fit_checkpoint`.
      method: how position embeddings are resampled; see `adapt.resample.resample`.
      images: how images will be scaled; None: as the weights expect. Another scaling
        is folded into the patch embedding.

    Raises:
      ConfigError: there is no such checkpoint, it is damaged, or does not fit.

    Example:
      >>> loaded = load_pretrained("ViT-B_16.npz", num_classes=10, image_size=384)
      >>> loaded.model.apply({"params": loaded.params}, images, train=False)
    """
    checkpoint = open_checkpoint(name_or_path)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    check(num_classes is None or num_classes > 0, "num_classes", "> 0", num_classes)
    fitted = fit_checkpoint(
        checkpoint,
        config,
        num_classes,
        size and (size[0], size[1]),
        head=head,
        method=method,
        images=images,
    )
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    made = dataclasses.replace(fitted.model, dtype=name)
    if config is not None:
        made = dataclasses.replace(made, scan=config.scan, remat=config.remat)
    return place_model(
        str(name_or_path),
        dataclasses.replace(fitted, model=made),
        mesh or make_mesh(MeshConfig(), jax.local_devices()[:1]),
    )


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
