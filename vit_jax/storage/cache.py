"""The folder of what can be made again."""

import os
import pathlib


def find_cache_folder() -> pathlib.Path:
    """Returns the folder of what can be made again: $VIT_JAX_CACHE or a default."""
    default = pathlib.Path("~/.cache/vit_jax")
    return pathlib.Path(os.environ.get("VIT_JAX_CACHE") or default).expanduser()
