"""What several releases share: locations, preprocessing, who measured, classes."""

from typing import Any

from vit_jax.config import PerChannel, Preprocessing
from vit_jax.weights.record import Location

Costs = dict[str, tuple[int, float]]  # name -> parameters, 1e9 multiply-adds per image

README = "google-research/vision_transformer README"
TIMM = "timm results-imagenet.csv, bicubic, crop "
APACHE = "Apache-2.0"
CLASSES_21K: dict[str, Any] = {"classes": "imagenet21k", "num_classes": 21_843}
CLASSES_1K: dict[str, Any] = {"classes": "imagenet1k", "num_classes": 1_000}
# Sizes of models as the names of repositories spell them.
LONG_NAMES = {
    "Ti": "tiny",
    "S": "small",
    "M": "medium",
    "B": "base",
    "L": "large",
    "H": "huge",
}

_IMAGENET_MEAN: PerChannel = (0.485, 0.456, 0.406)
_IMAGENET_STD: PerChannel = (0.229, 0.224, 0.225)


def locate_in_bucket(path: str, lacks: tuple[str, ...] = ()) -> Location:
    """Returns a file ``BUCKET/PATH.npz`` of Google Cloud Storage."""
    return Location(f"gs://{path}.npz", lacks)


def locate_on_hub(
    repo: str, lacks: tuple[str, ...] = (), file: str = "model.safetensors"
) -> Location:
    """Returns a file of the repository ``OWNER/NAME[@REVISION]``."""
    return Location(f"hf://{repo}/{file}", lacks)


def locate_timm(repo: str | None, lacks: tuple[str, ...] = ()) -> tuple[Location, ...]:
    """Returns the file of timm's repository, or nothing where timm has none."""
    return (locate_on_hub(f"timm/{repo}", lacks),) if repo else ()


def prepare_as_google(size: int) -> Preprocessing:
    """The original's evaluation: the whole image, two by two neighbours, [-1, 1]."""
    return Preprocessing((size, size))


def prepare_as_big_vision(size: int) -> Preprocessing:
    """``resize_small(256)|central_crop(224)|value_range(-1, 1)``; area by default."""
    return Preprocessing((size, size), "center", 0.875, "area")


def prepare_as_torch(
    size: int, fraction: float, imagenet_statistics: bool
) -> Preprocessing:
    """torchvision's evaluation, bicubic."""
    square = (size, size)
    if not imagenet_statistics:
        return Preprocessing(square, "center", fraction, "bicubic")
    return Preprocessing(
        square,
        "center",
        fraction,
        "bicubic",
        (0.0, 1.0),
        _IMAGENET_MEAN,
        _IMAGENET_STD,
    )
