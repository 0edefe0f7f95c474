"""The data section of a config, and the preprocessing that travels with weights."""

import dataclasses
import math

from vit_jax.config.choices import AUGMENTATIONS
from vit_jax.config.model import Pair
from vit_jax.errors import check, check_choice

PerChannel = tuple[float, float, float]  # red, green, blue


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input; travels with every checkpoint."""

    image_size: Pair  # (height, width) in pixels
    eval_crop: str = "resize"
    eval_crop_fraction: float = 0.875
    interpolation: str = "bilinear"
    value_range: tuple[float, float] = (-1.0, 1.0)  # what 0..255 is mapped to
    mean: PerChannel = (0.0, 0.0, 0.0)  # then subtracted; DeiT, DINOv2, CLIP
    std: PerChannel = (1.0, 1.0, 1.0)  # then divided by


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is read, and how an image is cut. See ``vit_jax.data``."""

    source: str  # "digits", "folder:DIR", "gs://...", ...; see data.make_source
    image_size: Pair  # (height, width) in pixels
    batch_size: int  # global: the sum over all devices of all hosts
    label: str | None = None  # TFDS: which of several; or one that VTAB derives
    data_dir: str | None = None  # where TFDS datasets lie; None: TFDS's own default
    train_split: str = "train"  # TFDS split strings work for every source
    eval_split: str = "test"
    eval_batch_size: int | None = None  # None: batch_size
    train_crop: str = "inception"
    crop_area: tuple[float, float] = (0.05, 1.0)  # share of the image's area
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)  # width over height
    flip: bool = True
    augment: str = "none"  # "three": 3-Augment of DeiT III (Touvron et al. 2022)
    # RandAugment (Cubuk et al. 2020): operations per image, and their magnitude of 10.
    randaugment: tuple[int, float] = (0, 0.0)
    mixup: float = 0.0  # alpha of the Beta distribution (Zhang et al. 2018)
    cutmix: float = 0.0  # the same (Yun et al. 2019); with both, one or the other
    color_jitter: float = 0.0  # brightness, contrast, saturation; DeiT III: 0.3
    erasing: float = 0.0  # probability; random erasing (Zhong et al. 2020)
    eval_crop: str = "resize"
    eval_crop_fraction: float = 0.875
    interpolation: str = "bilinear"
    value_range: tuple[float, float] = (-1.0, 1.0)
    mean: PerChannel = (0.0, 0.0, 0.0)
    std: PerChannel = (1.0, 1.0, 1.0)
    # Training: a JPEG whose crop has twice the pixels needed is shrunk in the frequency
    # domain, as libjpeg does it ("scaled decoding"). Faster, and free of aliasing.
    shrink_on_decode: bool = True
    # An unreadable image is skipped, counted and named in WORKDIR/bad_files.txt: its
    # neighbour takes its place in training, evaluation masks it. True: it ends the run.
    strict: bool = False
    max_bad_files: int = 100  # past which the run ends all the same
    num_threads: int = 0  # that read and decode; 0: from the number of CPUs
    # Processes with num_threads each, for machines of so many CPUs that Python's lock
    # is what limits threads. 0: threads of this process alone. The order is the same.
    num_workers: int = 0
    # Times that an image is taken in a row, each augmented anew (Hoffer et al. 2020).
    repeated_augmentation: int = 1
    # Training on smaller images first: (percent of the run, shorter side in pixels).
    progressive: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        where = "config.data"
        check(min(self.image_size) > 0, f"{where}.image_size", "> 0", self.image_size)
        check(self.batch_size > 0, f"{where}.batch_size", "> 0", self.batch_size)
        check_choice(f"{where}.train_crop", self.train_crop, ("inception", "resize"))
        check_choice(f"{where}.eval_crop", self.eval_crop, ("resize", "center"))
        check_choice(
            f"{where}.interpolation",
            self.interpolation,
            ("bilinear", "area", "bilinear_antialias", "bicubic"),
        )
        AUGMENTATIONS.check(f"{where}.augment", self.augment)
        check(0 <= self.erasing <= 1, f"{where}.erasing", "in [0, 1]", self.erasing)
        fraction = self.eval_crop_fraction
        check(0 < fraction <= 1, f"{where}.eval_crop_fraction", "in (0, 1]", fraction)
        for name in ("crop_area", "crop_aspect", "value_range"):
            low, high = getattr(self, name)
            check(low <= high, f"{where}.{name}", "(low, high)", (low, high))
        low, high = self.value_range
        check(low < high, f"{where}.value_range", "(low, higher)", (low, high))
        low = self.crop_aspect[0]
        check(low > 0, f"{where}.crop_aspect", "> 0", self.crop_aspect)
        size = self.eval_batch_size
        check(size is None or size > 0, f"{where}.eval_batch_size", "> 0", size)
        low, high = self.crop_area
        check(0 < low <= high <= 1, f"{where}.crop_area", "within (0, 1]", (low, high))
        check(min(self.std) > 0, f"{where}.std", "> 0 in every channel", self.std)
        for name in ("num_threads", "num_workers", "max_bad_files"):
            check(
                getattr(self, name) >= 0, f"{where}.{name}", ">= 0", getattr(self, name)
            )
        for name in ("color_jitter", "mixup", "cutmix"):
            value = getattr(self, name)
            check(0 <= value < math.inf, f"{where}.{name}", "finite and >= 0", value)
        low = min(self.randaugment)
        check(low >= 0, f"{where}.randaugment", "(count, magnitude)", self.randaugment)
        starts = [percent for percent, _ in self.progressive]
        check(
            starts == sorted(set(starts)) and all(0 <= p < 100 for p in starts),
            f"{where}.progressive",
            "((percent, side), ...) in order",
            self.progressive,
        )
        repeats = self.repeated_augmentation
        check(repeats > 0, f"{where}.repeated_augmentation", "> 0", repeats)

    @property
    def preprocessing(self) -> Preprocessing:
        names = [field.name for field in dataclasses.fields(Preprocessing)]
        return Preprocessing(**{name: getattr(self, name) for name in names})
