"""Any checkpoint, ready to be used: a run's, a file's, or published weights by name."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.loaded import Loaded, place_model
from vit_jax.checkpoints.open import open_checkpoint
from vit_jax.config import MeshConfig, ModelConfig, Preprocessing
from vit_jax.data import augment
from vit_jax.errors import check
from vit_jax.mesh.constraints import bind_mesh
from vit_jax.mesh.sharding import make_mesh, replicate_sharding

_LOG = logging.getLogger(__name__)


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
