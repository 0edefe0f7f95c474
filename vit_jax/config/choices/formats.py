"""Formats of checkpoints of other programs, and how their positions are resampled."""

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

RESAMPLINGS = Choices(
    "resampling",
    "load_pretrained's method",
    {
        "bilinear": (
            "checkpoints.adapt.resample:resample_between_corners",
            "linear, the corners stay where they are",
        ),
        "original": (
            "checkpoints.adapt.resample:resample_as_original",
            "scipy's zoom as the original calls it, rounding included",
        ),
        "bicubic": (
            "checkpoints.adapt.resample:resample_bicubic",
            "antialiased, as timm and PyTorch do it",
        ),
        "half_pixel": (
            "checkpoints.adapt.resample:resample_between_centres",
            "linear between pixel centres, as timm reads the original's files",
        ),
    },
)
