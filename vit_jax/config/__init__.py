"""What a run is: frozen dataclasses, each field with a reader.

`config.file` builds them from an ml_collections file; a value out of range ends the run
at its first line, in words that say what to type instead. Past that nobody reads a
dictionary.

Each name is imported when first used: ``vit-jax --help`` needs the choices alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_jax.config.data import DataConfig as DataConfig
    from vit_jax.config.data import PerChannel as PerChannel
    from vit_jax.config.data import Preprocessing as Preprocessing
    from vit_jax.config.mesh import MeshConfig as MeshConfig
    from vit_jax.config.model import PLAIN as PLAIN
    from vit_jax.config.model import RUN_FIELDS as RUN_FIELDS
    from vit_jax.config.model import ModelConfig as ModelConfig
    from vit_jax.config.model import Pair as Pair
    from vit_jax.config.objective import ObjectiveConfig as ObjectiveConfig
    from vit_jax.config.optim import OptimConfig as OptimConfig
    from vit_jax.config.optim import Table as Table
    from vit_jax.config.run import Config as Config
    from vit_jax.config.run import InitConfig as InitConfig
    from vit_jax.config.train import TrainConfig as TrainConfig

_HOME = {
    "PLAIN": "model",
    "RUN_FIELDS": "model",
    "Config": "run",
    "DataConfig": "data",
    "InitConfig": "run",
    "MeshConfig": "mesh",
    "ModelConfig": "model",
    "ObjectiveConfig": "objective",
    "OptimConfig": "optim",
    "Pair": "model",
    "PerChannel": "data",
    "Preprocessing": "data",
    "Table": "optim",
    "TrainConfig": "train",
}

__all__ = [
    "PLAIN",
    "RUN_FIELDS",
    "Config",
    "DataConfig",
    "InitConfig",
    "MeshConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimConfig",
    "Pair",
    "PerChannel",
    "Preprocessing",
    "Table",
    "TrainConfig",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"vit_jax.config.{_HOME[name]}"), name)
    raise AttributeError(f"module 'vit_jax.config' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
