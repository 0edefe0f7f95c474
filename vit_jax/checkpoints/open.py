"""What is at a path or under a name, opened: the one way in, for every format."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_jax import models, weights
from vit_jax.checkpoints.files.array_files import read_file, read_folder
from vit_jax.checkpoints.files.orbax_files import find_step
from vit_jax.checkpoints.formats import (
    big_vision,
    google,
    huggingface,
    huggingface_config,
    own,
    timm,
    timm_config,
)
from vit_jax.checkpoints.formats.facts import METADATA, Facts, from_metadata, read_json
from vit_jax.checkpoints.formats.limits import FORMATS
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
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
    facts = Facts(fields, dataclasses.asdict(preprocessing) if preprocessing else {})
    path = bucket.find_location(name_or_path)
    if bucket.is_bucket(path) or path.exists():
        return _open_path(path, facts)
    return _open_name(str(name_or_path), path, facts)


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


def _open_name(name: str, path: Path, facts: Facts) -> Checkpoint:
    """Opens published weights, fetched first where they are not here."""
    try:
        path = weights.fetch_weights(name)
    except weights.UnknownWeights as error:
        if path.suffix in _SUFFIXES or path.is_absolute():
            raise ConfigError(f"{path} does not exist; check the path") from error
        raise
    published = weights.describe_published(name)
    try:
        checkpoint = _open_path(path, facts.over(_facts_of(published)))
    except ConfigError as error:
        again = "remove that file, and it is fetched again"
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


def _facts_of(published: weights.PublishedWeights) -> Facts:
    """Returns what files of these weights may not say, or say wrongly."""
    fields: dict[str, Any] = {}
    if published.model is not None:
        model = models.resolve_model(published.model)
        fields = {name: getattr(model, name) for name in _UNTOLD}
    sizes = published.preprocessing
    return Facts(fields, dataclasses.asdict(sizes) if sizes else {})


def _open_path(path: Path, facts: Facts) -> Checkpoint:
    in_bucket = bucket.is_bucket(path)
    if in_bucket or path.is_dir():
        step = find_step(path)
        if step is not None:
            return own.read_step(step)
        if in_bucket:
            raise ConfigError(
                f"no checkpoint in {path}; give the --workdir of a run that has saved "
                "one; of other formats give the file itself"
            )
        tensors, metadata, path = read_folder(path)
    else:
        tensors, metadata = read_file(path)
    if METADATA in metadata:
        facts = facts.over(from_metadata(metadata[METADATA], str(path)))
    if not tensors:
        raise ConfigError(
            f"{path} must hold a checkpoint, got a file without arrays; "
            "get the file again"
        )
    return _read_names(path, tensors, facts)


def _read_names(path: Path, tensors: Mapping[str, Lazy], facts: Facts) -> Checkpoint:
    """Returns the checkpoint of the format whose names these are."""
    what = str(path)
    if big_vision.recognises(tensors):
        return big_vision.read(tensors, facts, what)
    if google.recognises(tensors):
        return google.read(tensors, facts, what)
    if timm.recognises(tensors):
        if not facts.preprocessing:
            config = read_json(path.parent / "config.json")
            facts = facts.over(timm_config.read(config, tensors))
        return timm.read(tensors, facts, what)
    kind = huggingface.recognises(tensors)
    if kind is None:
        first = min(tensors)[:80]
        raise ConfigError(
            f"{path} must have the names of a known format, got {first!r}; known: "
            f"{', '.join(FORMATS)}"
        )
    if not facts.preprocessing:
        config = read_json(path.parent / "config.json")
        preprocessor = read_json(path.parent / "preprocessor_config.json")
        facts = facts.over(huggingface_config.read(config, preprocessor, kind))
    return huggingface.read(tensors, facts, what)
