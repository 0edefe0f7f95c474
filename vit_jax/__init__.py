"""Vision Transformer for JAX: train, fine-tune, load, look inside, run anywhere.

Names below are imported when first used, so that `import vit_jax` costs nothing. Verbs
live in their modules: `vit_jax.train.train`, `vit_jax.evaluate.evaluate`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_jax.config import Config as Config
    from vit_jax.config import ConfigError as ConfigError
    from vit_jax.config_file import load_config as load_config
    from vit_jax.models.vit import ViT as ViT
    from vit_jax.predict import Predictor as Predictor

_HOME = {
    "Config": "vit_jax.config",
    "ConfigError": "vit_jax.config",
    "load_config": "vit_jax.config_file",
    "ViT": "vit_jax.models.vit",
    "Predictor": "vit_jax.predict",
}

__version__ = "0.1.0"
__all__ = ["Config", "ConfigError", "Predictor", "ViT", "load_config"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vit_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
