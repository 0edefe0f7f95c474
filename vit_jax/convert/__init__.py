"""Any format of checkpoint -> one canonical tree -> any format.

The order is always the same: read, rename, adapt, merge.
"""

from vit_jax.convert.files import read, write
from vit_jax.convert.limits import DROPPABLE, FORMATS
from vit_jax.convert.record import Checkpoint
from vit_jax.convert.trees import MismatchError, nested

__all__ = [
    "DROPPABLE",
    "FORMATS",
    "Checkpoint",
    "MismatchError",
    "nested",
    "read",
    "write",
]
