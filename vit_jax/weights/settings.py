"""What the environment says about weights: folders, mirrors, and whether to ask.

The folder for downloads, ``VIT_JAX_CACHE``, is `storage.cache`'s. What concerns the Hub
(``HF_HOME``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``, ...) is read by its own library.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from vit_jax.errors import ConfigError


def list_folders() -> list[Path]:
    """Returns the folders in ``VIT_JAX_WEIGHTS``."""
    text = os.environ.get("VIT_JAX_WEIGHTS", "")
    return [Path(name).expanduser() for name in text.split(os.pathsep) if name]


def list_mirrors() -> list[str]:
    """Returns the URLs in ``VIT_JAX_MIRROR``, separated by spaces or commas.

    Raises:
        ConfigError: for one that is no http or https URL.
    """
    found = re.split(r"[\s,]+", os.environ.get("VIT_JAX_MIRROR", "").strip())
    for url in filter(None, found):
        if urlsplit(url).scheme not in ("https", "http"):
            raise ConfigError(
                f"VIT_JAX_MIRROR must be https://HOST/PREFIX, got {url}; for a folder "
                "set VIT_JAX_WEIGHTS"
            )
    return [url.rstrip("/") for url in found if url]


def is_offline() -> bool:
    """Returns whether ``VIT_JAX_OFFLINE`` forbids the network."""
    text = os.environ.get("VIT_JAX_OFFLINE", "").lower()
    return text not in ("", "0", "false", "no")
