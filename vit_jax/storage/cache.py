"""The folder of files that can be made or downloaded again."""

import os
import pathlib


def find_cache_folder() -> pathlib.Path:
    """Returns ``VIT_JAX_CACHE``, or ``~/.cache/vit_jax``."""
    default = pathlib.Path("~/.cache/vit_jax")
    return pathlib.Path(os.environ.get("VIT_JAX_CACHE") or default).expanduser()
