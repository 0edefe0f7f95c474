"""Choices about a model: its parts, and how they are computed."""

from vit_jax.config.choices.table import Choices

DTYPES = Choices(
    "dtype",
    "config.model.dtype",
    {
        "float32": (None, "of all arithmetic"),
        "bfloat16": (None, "on TPUs, and on NVIDIA GPUs from A100 on"),
        "float16": (None, "on older GPUs; of a narrower range than bfloat16"),
    },
)
