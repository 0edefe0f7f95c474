"""Vision Transformer for JAX: train, fine-tune, load, look inside, run anywhere.

Each public name is imported when first used, so that `import vit_jax` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vit_jax._version import __version__ as __version__

if TYPE_CHECKING:
    from vit_jax.checkpoints.load import Loaded as Loaded
    from vit_jax.checkpoints.load import load as load
    from vit_jax.checkpoints.load import load_pretrained as load_pretrained
    from vit_jax.checkpoints.open import open_checkpoint as open_checkpoint
    from vit_jax.config import Config as Config
    from vit_jax.config.file import load_config as load_config
    from vit_jax.errors import ConfigError as ConfigError
    from vit_jax.infer.evaluate import evaluate as evaluate
    from vit_jax.infer.predict import Predictor as Predictor
    from vit_jax.models.vit import ViT as ViT
    from vit_jax.training.loop import train as train

_HOME = {
    "Config": "vit_jax.config",
    "ConfigError": "vit_jax.errors",
    "Loaded": "vit_jax.checkpoints.load",
    "Predictor": "vit_jax.infer.predict",
    "ViT": "vit_jax.models.vit",
    "evaluate": "vit_jax.infer.evaluate",
    "load": "vit_jax.checkpoints.load",
    "load_config": "vit_jax.config.file",
    "load_pretrained": "vit_jax.checkpoints.load",
    "open_checkpoint": "vit_jax.checkpoints.open",
    "train": "vit_jax.training.loop",
}

__all__ = [
    "Config",
    "ConfigError",
    "Loaded",
    "Predictor",
    "ViT",
    "evaluate",
    "load",
    "load_config",
    "load_pretrained",
    "open_checkpoint",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vit_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
