"""Any format of checkpoint -> one canonical tree -> any format.

The order is always the same: read, rename, adapt, merge. Nothing is unpickled, and no
array is read before it is used.
"""

from vit_jax.checkpoints.adapt.fit import adapt
from vit_jax.checkpoints.conversion import convert_file, describe_checkpoint
from vit_jax.checkpoints.formats.limits import DROPPABLE, FORMATS
from vit_jax.checkpoints.lazy import Lazy, make_lazy
from vit_jax.checkpoints.open import read_checkpoint, write_checkpoint
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.trees import MismatchError, nest

__all__ = [
    "DROPPABLE",
    "FORMATS",
    "Checkpoint",
    "Lazy",
    "MismatchError",
    "adapt",
    "convert_file",
    "describe_checkpoint",
    "make_lazy",
    "nest",
    "read_checkpoint",
    "write_checkpoint",
]
