"""Images and labels: sources, host-side decode and crop, loader, device-side part."""

from vit_jax.data.augment import prepare_images
from vit_jax.data.bad_files import BadFiles
from vit_jax.data.images.decode import DecodeError, decode
from vit_jax.data.loader import (
    EvalBatches,
    TrainBatches,
    make_eval_batches,
    make_train_batches,
)
from vit_jax.data.sources import Source, make_source

__all__ = [
    "BadFiles",
    "DecodeError",
    "EvalBatches",
    "Source",
    "TrainBatches",
    "decode",
    "make_eval_batches",
    "make_source",
    "make_train_batches",
    "prepare_images",
]
