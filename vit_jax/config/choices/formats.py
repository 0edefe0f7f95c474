"""Formats of checkpoints that other programs read and write."""

from vit_jax.config.choices.table import Choices

# Each a `checkpoints.formats.format.Format`; in the order in which they are asked
# whether the names in a file are theirs.
FORMATS = Choices(
    "format",
    "convert --to",
    {
        "big_vision": (
            "checkpoints.formats.big_vision:FORMAT",
            "big_vision's .npz",
        ),
        "google": (
            "checkpoints.formats.google:FORMAT",
            "the original's .npz, named as its modules are today",
        ),
        "google_prelinen": (
            "checkpoints.formats.google:PRELINEN",
            "the original's .npz, named as in its released files",
        ),
        "timm": (
            "checkpoints.formats.timm:FORMAT",
            "timm's .safetensors, or a folder with its config",
        ),
        "huggingface": (
            "checkpoints.formats.huggingface:FORMAT",
            "transformers' .safetensors, or a folder with its configs",
        ),
    },
)
