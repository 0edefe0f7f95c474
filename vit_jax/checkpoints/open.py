"""Files and folders: which format one is, how it is read, how it is written."""

import dataclasses
import json
import os
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vit_jax.checkpoints.files.npz import check_directory, read_npz, write_npz
from vit_jax.checkpoints.files.safetensors import (
    is_safetensors,
    read_safetensors,
    write_safetensors,
)
from vit_jax.checkpoints.files.storage import make_damage_error, write_atomically
from vit_jax.checkpoints.files.torch_file import is_torch_file, read_torch_file
from vit_jax.checkpoints.formats import (
    big_vision,
    google,
    huggingface,
    huggingface_config,
    timm,
    timm_config,
    workdir,
)
from vit_jax.checkpoints.formats.facts import (
    METADATA,
    Facts,
    from_metadata,
    read_json,
    to_metadata,
)
from vit_jax.checkpoints.formats.limits import FORMATS, Fitted, fit
from vit_jax.checkpoints.lazy import Lazy, make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError, check_choice, did_you_mean
from vit_jax.storage import bucket

# In a folder, the first that is there.
_NAMES = ("model.safetensors", "*.safetensors", "pytorch_model.bin", "*.npz", "*.bin",
          "*.pth")  # fmt: skip
_PART = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def read_checkpoint(
    path: str | Path, preprocessing: Preprocessing | None = None, **fields: Any
) -> Checkpoint:
    """Opens a checkpoint of any format, which is told by its content.

    The arrays are read when they are used, one at a time.

    Args:
        path: a file; a folder with one, and its configs; or a workdir of ours.
        preprocessing: where it is known better than by the configs, which are not read
            then; the image size is the file's own, if it tells one.
        fields: of `ModelConfig`, where the file does not tell them: ``num_heads``,
            ``activation``, ``layer_norm_epsilon``, ``classifier``.

    Returns:
        The checkpoint; its notes say what was assumed.

    Raises:
        ConfigError: there is none, it is damaged, or it is of no model that we have.
    """
    path = bucket.find_location(path)
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    for name in fields:
        if name not in known:
            raise ConfigError(f'unknown field "{name}"{did_you_mean(name, known)}')
    facts = Facts(fields, dataclasses.asdict(preprocessing) if preprocessing else {})
    in_bucket = bucket.is_bucket(path)
    if in_bucket or path.is_dir():
        step = workdir.find(path)
        if step is not None:
            return workdir.read(step)
        if in_bucket:
            raise ConfigError(
                f"no checkpoint in {path}; give the --workdir of a run that has saved "
                "one; of other formats give the file itself"
            )
        tensors, metadata, path = _open_folder(path)
    else:
        tensors, metadata = _open(path)
    if METADATA in metadata:
        facts = facts.over(from_metadata(metadata[METADATA], str(path)))
    if not tensors:
        raise ConfigError(
            f"{path} must hold a checkpoint, got a file without arrays; "
            "get the file again"
        )
    return _read_names(path, tensors, facts)


def write_checkpoint(
    path: str | Path,
    file_format: str,
    tensors: Mapping[str, Any],
    model: ModelConfig,
    num_classes: int | None,
    *,
    preprocessing: Preprocessing | None = None,
    class_names: Sequence[str] | None = None,
    drop: Collection[str] = (),
) -> list[Path]:
    """Writes a checkpoint; the arrays are read and written one at a time.

    Args:
        path: of an .npz or .safetensors file; for timm and huggingface also a folder,
            which gets the config files too.
        file_format: one of `FORMATS`.
        tensors: canonical name -> array.
        model: resolved.
        num_classes: None: there is no head.
        preprocessing: what the weights expect.
        class_names: in the order of the logits.
        drop: what to leave out; see `limits.DROPPABLE`.

    Returns:
        The files.

    Raises:
        ConfigError: the format cannot hold something, which it names; or the file
            cannot be written.
    """
    check_choice("--to", file_format, FORMATS)
    path = Path(os.path.expanduser(path))
    tree = {name: make_lazy(array) for name, array in tensors.items()}
    fitted = fit(file_format, tree, model, num_classes, drop)
    if file_format.startswith("google"):
        prelinen = file_format == "google_prelinen"
        write_npz(path, google.write(fitted.tree, fitted.model, prelinen=prelinen))
        return [path]
    if file_format == "big_vision":
        write_npz(path, big_vision.write(fitted.tree))
        return [path]
    return _write_safetensors(path, file_format, fitted, preprocessing, class_names)


def _write_safetensors(
    path: Path,
    file_format: str,
    fitted: Fitted,
    preprocessing: Preprocessing | None,
    class_names: Sequence[str] | None,
) -> list[Path]:
    tree, model, num_classes = fitted
    in_folder = path.suffix != ".safetensors"
    file = path / "model.safetensors" if in_folder else path
    size = preprocessing.image_size if preprocessing else (224, 224)
    if file_format == "timm":
        tensors = timm.write(tree, model)
        tables = {
            "config.json": timm_config.write(
                model, num_classes, preprocessing, class_names
            )
        }
    else:
        kind = huggingface.architecture_of(model)
        tensors = huggingface.write(tree, model, num_classes)
        tables = {
            "config.json": huggingface_config.write(
                model, kind, num_classes, size, class_names
            )
        }
        if preprocessing:
            tables["preprocessor_config.json"] = huggingface_config.write_preprocessor(
                preprocessing
            )
    write_safetensors(file, tensors, to_metadata(model, preprocessing, class_names))
    files = [file]
    for name, table in tables.items() if in_folder else ():
        with write_atomically(path / name) as config:
            config.write(json.dumps(table, indent=2).encode() + b"\n")
        files.append(path / name)
    return files


def _open_folder(folder: Path) -> tuple[dict[str, Lazy], dict[str, str], Path]:
    """Opens the checkpoint in a folder, which may be cut into several safetensors."""
    for pattern in _NAMES:
        files = sorted(folder.glob(pattern))
        in_parts = all(_PART.fullmatch(file.name) for file in files)
        if len(files) > 1 and not in_parts:
            raise ConfigError(
                f"{folder} must hold one checkpoint, got {len(files)} of {pattern}; "
                "give the file itself"
            )
        if not files:
            continue
        tensors: dict[str, Lazy] = {}
        metadata: dict[str, str] = {}
        for file in files:
            more, metadata = _open(file)
            if tensors.keys() & more.keys():
                raise ConfigError(f"{folder} has an array twice; get the files again")
            tensors |= more
        return tensors, metadata, files[0]
    raise ConfigError(
        f"no checkpoint in {folder}; give a workdir, or a .npz or .safetensors file"
    )


def _open(path: Path) -> tuple[dict[str, Lazy], dict[str, str]]:
    """Returns the arrays and the metadata of a file, whatever it is called."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
        members: list[str] = []
        if start[:4] == b"PK\x03\x04":
            check_directory(path)
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()[:1000]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise make_damage_error(path, error) from error
    if is_torch_file(start, members):
        return read_torch_file(path), {}
    if start[:2] == b"PK":
        return read_npz(path), {}
    if is_safetensors(path):
        return read_safetensors(path)
    raise ConfigError(
        f"{path} must be a .npz, .safetensors or PyTorch file, got one that starts with "
        f"{start[:8]!r}; convert it first"
    )


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
