"""The same images through the library that a file was written for."""

from pathlib import Path

import numpy as np

from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError


def run_peer(
    path: Path, file_format: str, checkpoint: Checkpoint, images: np.ndarray
) -> tuple[str, np.ndarray] | None:
    """Returns the name of a library that reads the file, and its output.

    None if there is no such library, or it is not installed here.

    Args:
        path: of the file or folder that was written.
        file_format: of it.
        checkpoint: the file, read back.
        images: [b h w c], float32.

    Raises:
        ConfigError: the library refuses the file.
    """
    chosen: Format = FORMATS.resolve(file_format)
    if chosen.peer is None:
        return None
    try:
        return chosen.peer(path, checkpoint, images)
    except ImportError:  # transformers finds out late what it lacks
        return None
    except Exception as error:  # they raise many kinds
        if isinstance(error, RuntimeError) and "torchvision" in str(error):
            return None  # installed, but of another version than PyTorch
        raise ConfigError(f"{path} is not read by its own library: {error}") from error
