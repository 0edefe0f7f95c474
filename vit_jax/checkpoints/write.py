"""A checkpoint written in a format of others: the one way out."""

import dataclasses
import json
import os
from collections.abc import Collection
from pathlib import Path

from vit_jax.checkpoints.files.npz import write_npz
from vit_jax.checkpoints.files.safetensors import write_safetensors
from vit_jax.checkpoints.files.storage import write_atomically
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.metadata import make_own_metadata
from vit_jax.checkpoints.lazy import make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.restrict import restrict_to_format
from vit_jax.config.choices import FORMATS


def write_checkpoint(
    path: str | Path,
    file_format: str,
    checkpoint: Checkpoint,
    drop: Collection[str] = (),
) -> list[Path]:
    """Writes a checkpoint; the arrays are read and written one at a time.

    Args:
        path: of an .npz or .safetensors file; for timm and huggingface also a folder,
            which gets the config files too.
        file_format: a row of `config.choices.FORMATS`.
        checkpoint: its model is resolved; its arrays may be in memory, too.
        drop: what to leave out; see `restrict.DROPPABLE`.

    Returns:
        The files.

    Raises:
        ConfigError: the format cannot hold something, which it names; or the file
            cannot be written.
    """
    FORMATS.check("--to", file_format)
    chosen: Format = FORMATS.resolve(file_format)
    path = Path(os.path.expanduser(path))
    arrays = {name: make_lazy(array) for name, array in checkpoint.tensors.items()}
    checkpoint = dataclasses.replace(checkpoint, tensors=arrays)
    checkpoint = restrict_to_format(checkpoint, file_format, drop)
    tensors = chosen.write(checkpoint)
    if chosen.suffix == ".npz":
        write_npz(path, tensors)
        return [path]
    in_folder = path.suffix != chosen.suffix
    file = path / f"model{chosen.suffix}" if in_folder else path
    write_safetensors(file, tensors, make_own_metadata(checkpoint))
    files = [file]
    if in_folder and chosen.make_configs is not None:
        for name, table in chosen.make_configs(checkpoint).items():
            with write_atomically(path / name) as config:
                config.write(json.dumps(table, indent=2).encode() + b"\n")
            files.append(path / name)
    return files
