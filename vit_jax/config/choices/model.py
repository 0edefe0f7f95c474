"""Choices about a model: its parts, and how they are computed."""

from vit_jax.config.choices.table import Choices

DTYPES = Choices(
    "dtype",
    "config.model.dtype",
    {
        "float32": (None, "full precision"),
        "bfloat16": (None, "half the memory; fast on TPUs and recent NVIDIA GPUs"),
        "float16": (None, "for older GPUs; a smaller range than bfloat16"),
    },
)
