"""A published, converted or own checkpoint as a model that is ready to be used."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from jax.typing import DTypeLike

from vit_jax import checkpoints, models, weights
from vit_jax.checkpoints import Lazy
from vit_jax.checkpoints.adapt.fit import adapt
from vit_jax.checkpoints.layers import stack_layers
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError, check
from vit_jax.mesh.sharding import shard_abstract
from vit_jax.storage import bucket


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
    dtype: DTypeLike = "float32",
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
        head: ``auto``, ``keep`` or ``new``; see `checkpoints.adapt.adapt`.
        method: how position embeddings are resampled; see `checkpoints.resample`.
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
    fitted = adapt(
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
    return Pretrained(
        model=models.build_model(made, fitted.num_classes),
        params=place_params(fitted, mesh, scan=made.scan),
        preprocessing=fitted.preprocessing,
        class_names=fitted.class_names,
        config=models.resolve_model(made),
        num_classes=fitted.num_classes,
        notes=fitted.notes,
    )


def open_checkpoint(name_or_path: str | Path) -> checkpoints.Checkpoint:
    """Opens what a name or a path means; no array is read yet.

    A path that exists wins over a name. What is published about weights by name stands
    over what their file says, or leaves out.

    Raises:
        ConfigError: there is no such checkpoint, or it is damaged.
    """
    path = bucket.find_location(name_or_path)
    if bucket.is_bucket(path) or path.exists():
        return checkpoints.read_checkpoint(path)
    name = str(name_or_path)
    try:
        path = weights.fetch_weights(name)
    except weights.UnknownWeights as error:
        if (
            path.suffix in (".npz", ".safetensors", ".bin", ".pth")
            or path.is_absolute()
        ):
            raise ConfigError(f"{path} does not exist; check the path") from error
        raise
    published = weights.describe_published(name)
    try:
        checkpoint = checkpoints.read_checkpoint(
            path, published.preprocessing, **_fields(published)
        )
    except ConfigError as error:
        again = "remove that file, and it is fetched again"
        raise ConfigError(f'weights "{name}": {error}, or {again}') from error
    return _with_published(checkpoint, published, path)


def _fields(published: weights.PublishedWeights) -> dict[str, Any]:
    """Returns the fields that files of these weights may not tell, or tell wrongly."""
    if published.model is None:
        return {}
    model = models.resolve_model(published.model)
    return {name: getattr(model, name) for name in _UNTOLD}


# timm's copies of the original's weights, for one, come with another activation.
_UNTOLD = ("num_heads", "activation", "layer_norm_epsilon")


def _with_published(
    checkpoint: checkpoints.Checkpoint, published: weights.PublishedWeights, path: Path
) -> checkpoints.Checkpoint:
    """Returns the checkpoint with the published class names."""
    names = checkpoint.class_names
    if published.classes is not None and names is None:
        known = weights.read_class_names(published.classes)
        names = known if len(known) == checkpoint.num_classes else None
    lacks = weights.list_missing_parts(published.name, path)
    notes = (f"this file leaves out: {', '.join(lacks)}",) if lacks else ()
    return dataclasses.replace(
        checkpoint, class_names=names, notes=(*checkpoint.notes, *notes)
    )


def place_params(
    checkpoint: checkpoints.Checkpoint, mesh: Mesh | None = None, *, scan: bool = False
) -> Any:
    """Reads the arrays, one at a time, and lays each out; nested, float32.

    Args:
        checkpoint: its model's `models.axes` say how each array is cut.
        mesh: None: the first device.
        scan: stacks the layers, as a model with ``scan`` has them.
    """
    tensors = dict(checkpoint.tensors)
    tensors = stack_layers(tensors) if scan else tensors
    if mesh is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shardings = dict.fromkeys(tensors, sharding)
    else:
        abstract = checkpoints.nest(
            {
                name: jax.ShapeDtypeStruct(tensor.shape, np.float32)
                for name, tensor in tensors.items()
            }
        )
        laid_out = shard_abstract(abstract, models.find_axes(checkpoint.model), mesh)
        shardings = {name: _leaf(laid_out, name).sharding for name in tensors}
    flat = {name: _place(tensor, shardings[name]) for name, tensor in tensors.items()}
    return checkpoints.nest(flat)


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
