"""Any format of checkpoint -> one canonical tree -> any format.

The order is always the same: read, rename, adapt, merge. Nothing is unpickled, and no
array is read before it is used.
"""

from vit_jax.convert.adapt import adapt
from vit_jax.convert.conversion import convert_file, describe
from vit_jax.convert.files import read, write
from vit_jax.convert.lazy import Lazy, lazy
from vit_jax.convert.limits import DROPPABLE, FORMATS
from vit_jax.convert.record import Checkpoint
from vit_jax.convert.trees import MismatchError, nested

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
