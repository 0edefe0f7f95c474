"""A checkpoint written in a format of others: the one way out."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vit_jax.checkpoints.files.npz import write_npz
from vit_jax.checkpoints.files.safetensors import write_safetensors
from vit_jax.checkpoints.files.storage import write_atomically
from vit_jax.checkpoints.formats import (
    big_vision,
    google,
    huggingface,
    huggingface_config,
    timm,
    timm_config,
)
from vit_jax.checkpoints.formats.facts import to_metadata
from vit_jax.checkpoints.formats.limits import FORMATS, Fitted, fit
from vit_jax.checkpoints.lazy import make_lazy
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import check_choice


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
