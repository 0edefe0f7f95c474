"""Any format of checkpoint -> one canonical tree -> any format.

The order is always the same: read, rename, adapt, merge. Nothing is unpickled, and no
array is read before it is used.
"""

from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.conversion import convert_file, describe_checkpoint
from vit_jax.checkpoints.lazy import Lazy, make_lazy
from vit_jax.checkpoints.open import open_checkpoint
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.restrict import DROPPABLE, restrict_to_format
from vit_jax.checkpoints.trees import MismatchError, nest
from vit_jax.checkpoints.write import write_checkpoint

__all__ = [
    "DROPPABLE",
    "Checkpoint",
    "Lazy",
    "MismatchError",
    "convert_file",
    "describe_checkpoint",
    "fit_checkpoint",
    "make_lazy",
    "nest",
    "open_checkpoint",
    "restrict_to_format",
    "write_checkpoint",
]
