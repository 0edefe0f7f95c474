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
    from vit_jax.data.augment.device import Augment as Augment
    from vit_jax.data.sources import Source as Source
    from vit_jax.errors import ConfigError as ConfigError
    from vit_jax.infer.evaluate import evaluate as evaluate
    from vit_jax.infer.predict import Predictor as Predictor
    from vit_jax.models.vit import ViT as ViT
    from vit_jax.objectives.objective import Aux as Aux
    from vit_jax.objectives.objective import Learner as Learner
    from vit_jax.objectives.objective import MakeObjective as MakeObjective
    from vit_jax.objectives.objective import Objective as Objective
    from vit_jax.training.callbacks import Callback as Callback
    from vit_jax.training.loop import Result as Result
    from vit_jax.training.loop import train as train
    from vit_jax.training.optimizers import MakeOptimizer as MakeOptimizer
    from vit_jax.training.optimizers import Optimizer as Optimizer

_HOME = {
    "Augment": "vit_jax.data.augment.device",
    "Aux": "vit_jax.objectives.objective",
    "Callback": "vit_jax.training.callbacks",
    "Config": "vit_jax.config",
    "ConfigError": "vit_jax.errors",
    "Learner": "vit_jax.objectives.objective",
    "Loaded": "vit_jax.checkpoints.load",
    "MakeObjective": "vit_jax.objectives.objective",
    "MakeOptimizer": "vit_jax.training.optimizers",
    "Objective": "vit_jax.objectives.objective",
    "Optimizer": "vit_jax.training.optimizers",
    "Predictor": "vit_jax.infer.predict",
    "Result": "vit_jax.training.loop",
    "Source": "vit_jax.data.sources",
    "ViT": "vit_jax.models.vit",
    "evaluate": "vit_jax.infer.evaluate",
    "load": "vit_jax.checkpoints.load",
    "load_config": "vit_jax.config.file",
    "load_pretrained": "vit_jax.checkpoints.load",
    "open_checkpoint": "vit_jax.checkpoints.open",
    "train": "vit_jax.training.loop",
}

__all__ = [
    "Augment",
    "Aux",
    "Callback",
    "Config",
    "ConfigError",
    "Learner",
    "Loaded",
    "MakeObjective",
    "MakeOptimizer",
    "Objective",
    "Optimizer",
    "Predictor",
    "Result",
    "Source",
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
