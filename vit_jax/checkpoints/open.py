"""What is at a path or under a name, opened: the one way in, for every format."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_jax import models, weights
from vit_jax.checkpoints.files.array_files import read_file, read_folder
from vit_jax.checkpoints.files.orbax_files import find_step
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.metadata import KEY, Metadata, read_own_metadata
from vit_jax.checkpoints.formats.own import read_step
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError, did_you_mean
from vit_jax.storage import bucket

_SUFFIXES = (".npz", ".safetensors", ".bin", ".pth")
# timm's copies of the original's weights, for one, come with another activation.
_UNTOLD = ("num_heads", "activation", "layer_norm_epsilon")


def open_checkpoint(
    name_or_path: str | Path, preprocessing: Preprocessing | None = None, **fields: Any
) -> Checkpoint:
    """Opens a checkpoint of any format, recognised by its content; reads no array yet.

    A path that exists wins over a name. What is published about weights by name
    overrides what their file says, or leaves out.

    Args:
        name_or_path: a file; a folder with one, and its configs; a workdir of a run of
            ours, or one step's folder in it, local or in a bucket; else a name that
            `vit_jax.weights` knows.
        preprocessing: where it is known better than by the configs, which are not read
            then; the image size is the file's own, if it says one.
        fields: of `ModelConfig`, where the file does not say them: ``num_heads``,
            ``activation``, ``layer_norm_epsilon``, ``classifier``.

    Returns:
        The checkpoint; its notes say what was assumed.

    Raises:
        ConfigError: there is none, it is damaged, or it is of no model that we have.

    Example:
        >>> open_checkpoint("ViT-B_16.npz").model.hidden_size
    """
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    for name in fields:
        if name not in known:
            raise ConfigError(f'unknown field "{name}"{did_you_mean(name, known)}')
    given = Metadata(fields, dataclasses.asdict(preprocessing) if preprocessing else {})
    path = bucket.find_location(name_or_path)
    if bucket.is_bucket(path) or path.exists():
        return _open_path(path, given)
    return _open_name(str(name_or_path), path, given)


class OpenOnce:
    """A checkpoint that is opened when it is first asked for, and only then.

    A download or a damaged file waits until what costs less has been checked.
    """

    def __init__(self, name_or_path: str | Path) -> None:
        self.name_or_path = name_or_path
        self._opened: Checkpoint | None = None

    def __call__(self) -> Checkpoint:
        """Returns the checkpoint, as `open_checkpoint` does."""
        if self._opened is None:
            self._opened = open_checkpoint(self.name_or_path)
        return self._opened


def _open_name(name: str, path: Path, given: Metadata) -> Checkpoint:
    """Opens published weights, fetched first where they are not here."""
    try:
        path = weights.fetch_weights(name)
    except weights.UnknownWeights as error:
        if path.suffix in _SUFFIXES or path.is_absolute():
            raise ConfigError(f"{path} does not exist; check the path") from error
        raise
    published = weights.describe_published(name)
    try:
        checkpoint = _open_path(path, given.override(_find_published(published)))
    except ConfigError as error:
        again = "remove that file to have it fetched again"
        raise ConfigError(f'weights "{name}": {error}, or {again}') from error
    names = checkpoint.class_names
    if published.classes is not None and names is None:
        known = weights.read_class_names(published.classes)
        names = known if len(known) == checkpoint.num_classes else None
    lacks = weights.list_missing_parts(published.name, path)
    notes = (f"this file leaves out: {', '.join(lacks)}",) if lacks else ()
    return dataclasses.replace(
        checkpoint, class_names=names, notes=(*checkpoint.notes, *notes)
    )


def _find_published(published: weights.PublishedWeights) -> Metadata:
    """Returns what files of these weights may not say, or say wrongly."""
    fields: dict[str, Any] = {}
    if published.model is not None:
        model = models.resolve_model(published.model)
        fields = {name: getattr(model, name) for name in _UNTOLD}
    sizes = published.preprocessing
    return Metadata(fields, dataclasses.asdict(sizes) if sizes else {})


def _open_path(path: Path, known: Metadata) -> Checkpoint:
    in_bucket = bucket.is_bucket(path)
    if in_bucket or path.is_dir():
        step = find_step(path)
        if step is not None:
            return read_step(step)
        if in_bucket:
            raise ConfigError(
                f"no checkpoint in {path}; give the --workdir of a run that has saved "
                "one; of other formats give the file itself"
            )
        tensors, written, path = read_folder(path)
    else:
        tensors, written = read_file(path)
    if KEY in written:
        known = known.override(read_own_metadata(written[KEY], str(path)))
    if not tensors:
        raise ConfigError(
            f"{path} must hold a checkpoint, got a file without arrays; check the path"
        )
    return _read_arrays(path, tensors, known)


def _read_arrays(
    path: Path, tensors: Mapping[str, Lazy], known: Metadata
) -> Checkpoint:
    """Returns the checkpoint of the first format whose names these are."""
    for name in FORMATS:
        chosen: Format = FORMATS.resolve(name)
        if chosen.recognises(tensors):
            break
    else:
        raise ConfigError(
            f"{path} must have the names of a known format, got {min(tensors)[:80]!r}; "
            f"known: {', '.join(FORMATS)}"
        )
    if chosen.read_configs is not None and not known.preprocessing:
        known = known.override(chosen.read_configs(path.parent, tensors))
    return chosen.read(tensors, known, str(path))
