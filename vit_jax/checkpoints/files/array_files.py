"""A file of arrays, or a folder with one: which kind it is, by its content."""

import re
import zipfile
from pathlib import Path

from vit_jax.checkpoints.files.npz import check_directory, read_npz_archive
from vit_jax.checkpoints.files.safetensors import is_safetensors, read_safetensors
from vit_jax.checkpoints.files.storage import make_damage_error
from vit_jax.checkpoints.files.torch_file import is_torch_file, read_torch_file
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.errors import ConfigError

# In a folder, the first that is there.
_NAMES = ("model.safetensors", "*.safetensors", "pytorch_model.bin", "*.npz", "*.bin",
          "*.pth")  # fmt: skip
_PART = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

Arrays = dict[str, Lazy]


def read_folder(folder: Path) -> tuple[Arrays, dict[str, str], Path]:
    """Returns arrays, metadata and file of the checkpoint in a folder.

    It may be split into several safetensors files; the first is returned then.

    Raises:
        ConfigError: it has none or several, or a file is damaged.
    """
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
        tensors: Arrays = {}
        metadata: dict[str, str] = {}
        for file in files:
            more, metadata = read_file(file)
            if tensors.keys() & more.keys():
                raise ConfigError(
                    f"{folder} must hold each array once, got one twice; "
                    "keep the files of one checkpoint"
                )
            tensors |= more
        return tensors, metadata, files[0]
    raise ConfigError(
        f"no checkpoint in {folder}; give a workdir, or a .npz or .safetensors file"
    )


def read_file(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Returns arrays and metadata of a file, whatever it is called.

    Raises:
        ConfigError: it is missing, damaged, or of no kind that is known.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
        if start[:2] == b"PK":
            check_directory(path)
            with zipfile.ZipFile(path) as archive:
                if not is_torch_file(start, archive.namelist()[:1000]):
                    return read_npz_archive(path, archive), {}
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        if isinstance(error, ConfigError):
            raise
        raise make_damage_error(path, error) from error
    if start[:2] == b"PK" or is_torch_file(start, []):
        return read_torch_file(path), {}
    if is_safetensors(path):
        return read_safetensors(path)
    raise ConfigError(
        f"{path} must be a .npz, .safetensors or PyTorch file, got one that starts with "
        f"{start[:8]!r}; convert it first"
    )
