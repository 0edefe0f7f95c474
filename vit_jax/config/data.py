"""The data section of a config, and the preprocessing that travels with weights."""

import dataclasses
import math

from vit_jax.config.choices import (
    AUGMENTATIONS,
    EVAL_CROPS,
    INTERPOLATIONS,
    TRAIN_CROPS,
)
from vit_jax.config.model import Pair
from vit_jax.errors import check

PerChannel = tuple[float, float, float]  # red, green, blue


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input; travels with every checkpoint."""

    image_size: Pair  # (height, width) in pixels
    eval_crop: str = "resize"
    eval_crop_fraction: float = 0.875
    interpolation: str = "bilinear"
    value_range: tuple[float, float] = (-1.0, 1.0)  # what 0..255 is mapped to
    mean: PerChannel = (0.0, 0.0, 0.0)  # subtracted afterwards; DeiT, DINOv2, CLIP
    std: PerChannel = (1.0, 1.0, 1.0)  # divided by afterwards


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is read, and how images are cropped and augmented. See ``vit_jax.data``."""

    source: str  # a row of SOURCES, a path or a TFDS name; see data.make_source
    image_size: Pair  # (height, width) in pixels
    batch_size: int  # global: the sum over all devices of all hosts
    label: str | None = None  # TFDS: a feature's name, or a label that VTAB derives
    data_dir: str | None = None  # the folder of TFDS datasets; None: TFDS's default
    train_split: str = "train"  # TFDS split strings work for every source
    eval_split: str = "test"
    eval_batch_size: int | None = None  # None: batch_size
    train_crop: str = "inception"
    crop_area: tuple[float, float] = (0.05, 1.0)  # share of the image's area
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)  # width over height
    flip: bool = True
    augment: str = "none"  # a row of AUGMENTATIONS
    # RandAugment (Cubuk et al. 2020): operations per image, and their magnitude of 10.
    randaugment: tuple[int, float] = (0, 0.0)
    mixup: float = 0.0  # alpha of the Beta distribution (Zhang et al. 2018)
    cutmix: float = 0.0  # the same (Yun et al. 2019); with both, each image draws one
    color_jitter: float = 0.0  # brightness, contrast, saturation; DeiT III: 0.3
    erasing: float = 0.0  # probability; random erasing (Zhong et al. 2020)
    eval_crop: str = "resize"
    eval_crop_fraction: float = 0.875
    interpolation: str = "bilinear"
    value_range: tuple[float, float] = (-1.0, 1.0)
    mean: PerChannel = (0.0, 0.0, 0.0)
    std: PerChannel = (1.0, 1.0, 1.0)
    # In training, a JPEG whose crop has at least twice the pixels needed is shrunk in
    # the frequency domain (libjpeg's "scaled decoding"): faster, without aliasing.
    shrink_on_decode: bool = True
    # False: an unreadable image is skipped, counted and named in WORKDIR/bad_files.txt;
    # training takes its neighbour instead, evaluation masks it. True: it ends the run.
    strict: bool = False
    max_bad_files: int = 100  # more of them end the run in any case
    num_threads: int = 0  # that read and decode; 0: by the number of CPUs
    # Processes with num_threads each, for machines with so many CPUs that Python's lock
    # limits the threads. 0: threads of this process alone. The order is the same.
    num_workers: int = 0
    # How often each image is repeated in a row, augmented differently each time
    # (Hoffer et al. 2020).
    repeated_augmentation: int = 1
    # Smaller images at the beginning: (percent of the run, shorter side in pixels).
    progressive: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_counts()
        self._check_crops()
        self._check_pixels()
        self._check_augmentation()

    def _check_choices(self) -> None:
        # `source` is checked where it is opened: it may be a path or a TFDS name.
        for name, table in (
            ("train_crop", TRAIN_CROPS),
            ("eval_crop", EVAL_CROPS),
            ("interpolation", INTERPOLATIONS),
            ("augment", AUGMENTATIONS),
        ):
            table.check(f"config.data.{name}", getattr(self, name))

    def _check_counts(self) -> None:
        size, evaluated = self.batch_size, self.eval_batch_size
        self._check(size > 0, "batch_size", "> 0")
        self._check(evaluated is None or evaluated > 0, "eval_batch_size", "> 0")
        self._check(self.repeated_augmentation > 0, "repeated_augmentation", "> 0")
        for name in ("num_threads", "num_workers", "max_bad_files"):
            self._check(getattr(self, name) >= 0, name, ">= 0")

    def _check_crops(self) -> None:
        self._check(min(self.image_size) > 0, "image_size", "> 0")
        fraction = self.eval_crop_fraction
        self._check(0 < fraction <= 1, "eval_crop_fraction", "in (0, 1]")
        for name in ("crop_area", "crop_aspect"):
            low, high = getattr(self, name)
            self._check(low <= high, name, "(low, high)")
        low, high = self.crop_area
        self._check(0 < low <= high <= 1, "crop_area", "within (0, 1]")
        self._check(self.crop_aspect[0] > 0, "crop_aspect", "> 0")
        starts = [percent for percent, _ in self.progressive]
        in_order = starts == sorted(set(starts)) and all(0 <= p < 100 for p in starts)
        self._check(in_order, "progressive", "((percent, side), ...) in order")

    def _check_pixels(self) -> None:
        low, high = self.value_range
        self._check(low < high, "value_range", "(low, higher)")
        self._check(min(self.std) > 0, "std", "> 0 in every channel")

    def _check_augmentation(self) -> None:
        self._check(0 <= self.erasing <= 1, "erasing", "in [0, 1]")
        for name in ("color_jitter", "mixup", "cutmix"):
            finite = 0 <= getattr(self, name) < math.inf
            self._check(finite, name, "finite and >= 0")
        positive = min(self.randaugment) >= 0
        self._check(positive, "randaugment", "(count, magnitude), both >= 0,")

    def _check(self, ok: bool, name: str, rule: str) -> None:
        check(ok, f"config.data.{name}", rule, getattr(self, name))

    @property
    def preprocessing(self) -> Preprocessing:
        names = [field.name for field in dataclasses.fields(Preprocessing)]
        return Preprocessing(**{name: getattr(self, name) for name in names})
