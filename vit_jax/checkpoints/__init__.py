"""Any format of checkpoint -> one canonical tree -> any format.

The order is always the same: read, rename, adapt, merge. Nothing is unpickled, and no
array is read before it is used.
"""

from vit_jax.checkpoints.adapt.fit import adapt
from vit_jax.checkpoints.conversion import convert_file, describe
from vit_jax.checkpoints.formats.limits import DROPPABLE, FORMATS
from vit_jax.checkpoints.lazy import Lazy, lazy
from vit_jax.checkpoints.open import read, write
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.trees import MismatchError, nested

__all__ = [
    "DROPPABLE",
    "FORMATS",
    "Checkpoint",
    "Lazy",
    "MismatchError",
    "adapt",
    "convert_file",
    "describe",
    "lazy",
    "nested",
    "read",
    "write",
]
