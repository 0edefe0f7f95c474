"""What a run is: frozen dataclasses, each field with a reader.

`config.file` builds them from an ml_collections file; a value out of range ends the run
at its first line, in words that say what to type instead. Past that nobody reads a
dictionary.
"""

from vit_jax.config.data import DataConfig, PerChannel, Preprocessing
from vit_jax.config.mesh import MESH_PRESETS, MeshConfig
from vit_jax.config.model import PLAIN, ModelConfig, Pair
from vit_jax.config.objective import ObjectiveConfig
from vit_jax.config.optim import OptimConfig, Table
from vit_jax.config.run import Config, InitConfig
from vit_jax.config.train import TrainConfig

__all__ = [
    "MESH_PRESETS",
    "PLAIN",
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
