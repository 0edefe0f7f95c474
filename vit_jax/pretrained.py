"""A published, converted or own checkpoint as a model that is ready to be used."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from vit_jax import convert, models
from vit_jax.config import ConfigError, ModelConfig, Preprocessing
from vit_jax.convert.adapt import adapt
from vit_jax.convert.lazy import Lazy
from vit_jax.sharding import lay_out


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model with its parameters, and how to use it.

    Attributes:
        model: ``model.apply({"params": params}, images, train=False)``.
        params: nested, float32, laid out on the mesh.
        preprocessing: what the images must look like.
        class_names: in the order of the logits.
        config: of the model.
        num_classes: None: the model returns features.
        notes: what was assumed and changed on the way, one sentence each.
    """

    model: nn.Module
    params: Any
    preprocessing: Preprocessing | None
    class_names: tuple[str, ...] | None
    config: ModelConfig
    num_classes: int | None
    notes: tuple[str, ...]


def load_pretrained(
    name_or_path: str | Path,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    dtype: str = "float32",
    mesh: Mesh | None = None,
    *,
    config: ModelConfig | None = None,
    head: str = "auto",
    method: str = "bilinear",
    images: Preprocessing | None = None,
) -> Pretrained:
    """Loads weights by name, or from a file, folder or workdir of any format.

    Each array is read, fitted and laid out before the next one is read: the host holds
    one at a time, and a device only its own part of each.

    Args:
        name_or_path: what `vit_jax.weights` knows, or a path.
        num_classes: y; another number than the checkpoint's gives a new head of zeros.
            None: the checkpoint's.
        image_size: (height, width) in pixels, or the side of a square. None: the
            checkpoint's.
        dtype: of the computation; the parameters are float32.
        mesh: over which the parameters are laid out; None: the first device.
        config: the model to be fitted to; None: the checkpoint's own. A new head leaves
            out the tanh pre-logits then, as the original does.
        head: ``auto``, ``keep`` or ``new``; see `convert.adapt.adapt`.
        method: how position embeddings are resampled; see `convert.resample`.
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
    fitted = adapt(
        checkpoint,
        config,
        num_classes,
        size,
        head=head,
        method=method,
        images=images,
    )
    made = dataclasses.replace(fitted.model, dtype=dtype)
    return Pretrained(
        model=models.build(made, fitted.num_classes),
        params=place(fitted, mesh),
        preprocessing=fitted.preprocessing,
        class_names=fitted.class_names,
        config=models.resolve(made),
        num_classes=fitted.num_classes,
        notes=fitted.notes,
    )


def open_checkpoint(name_or_path: str | Path) -> convert.Checkpoint:
    """Opens what a name or a path means; nothing is read yet.

    Raises:
        ConfigError: there is no such checkpoint, or it is damaged.
    """
    path = Path(name_or_path).expanduser()
    if path.exists():
        return convert.read(path)
    raise ConfigError(
        f"no checkpoint at {path}; give a name of vit_jax.weights or a path"
    )


def place(checkpoint: convert.Checkpoint, mesh: Mesh | None = None) -> Any:
    """Reads the arrays, one at a time, and lays each out; nested, float32.

    Args:
        checkpoint: its model's `models.axes` say how each array is cut.
        mesh: None: the first device.
    """
    if mesh is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shardings = dict.fromkeys(checkpoint.tensors, sharding)
    else:
        abstract = convert.nested(
            {
                name: jax.ShapeDtypeStruct(tensor.shape, np.float32)
                for name, tensor in checkpoint.tensors.items()
            }
        )
        laid_out = lay_out(abstract, models.axes(checkpoint.model), mesh)
        shardings = {
            name: _leaf(laid_out, name).sharding for name in checkpoint.tensors
        }
    flat = {
        name: _place(tensor, shardings[name])
        for name, tensor in checkpoint.tensors.items()
    }
    return convert.nested(flat)


def _place(tensor: Lazy, sharding: jax.sharding.Sharding) -> jax.Array:
    array = np.asarray(np.asarray(tensor), np.float32)
    # Not device_put, which compares the array between all hosts.
    part: Callable[[Any], np.ndarray] = array.__getitem__
    placed = jax.make_array_from_callback(array.shape, sharding, part)
    return placed.block_until_ready()  # so that the host's copy can go


def _leaf(tree: Any, name: str) -> Any:
    for part in name.split("/"):
        tree = tree[part]
    return tree
