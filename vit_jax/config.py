"""What a run is: frozen dataclasses, each field with a reader.

`config_file` builds them from an ml_collections file; a value out of range ends the run
at its first line, in words that say what to type instead. Past that nobody reads a
dictionary.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable

Pair = tuple[int, int]
PerChannel = tuple[float, float, float]  # red, green, blue
Table = tuple[tuple[str, float], ...]  # (parameter path pattern, multiplier), in order


class ConfigError(ValueError):
    """A user's mistake, told in one line; the command line exits with code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``'; did you mean "x"?'`` for the closest known name, or the known."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(known)}"


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Raises ConfigError unless ``value`` is one of ``known``."""
    known = list(known)
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise ConfigError(
            f'{what} must be one of {", ".join(known)}, got "{value}"{hint}'
        )


def check(ok: bool, what: str, rule: str, value: object) -> None:
    """Raises ConfigError, "{what} must be {rule}, got {value}", unless ``ok``."""
    if not ok:
        raise ConfigError(f"{what} must be {rule}, got {value!r}")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model. After ``models.resolve`` no dimension is None."""

    variant: str | None = None  # "ViT-B/16"; a dimension given explicitly overrides it
    patch_size: Pair | None = None  # (height, width) in pixels
    hidden_size: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    mlp_dim: int | None = None
    classifier: str = "token"
    representation_size: int | None = None  # width of the tanh pre-logits; None: none
    posemb: str = "learned"
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    stochastic_depth_rescale: bool = True  # divide a kept branch by its probability
    head_bias_init: float = 0.0
    dtype: str = "float32"  # of the computation; parameters stay float32
    family: str | None = None  # vit | hybrid | mixer; None: the variant's, else vit
    # Where published towers differ from the original; the defaults are the original's.
    activation: str = "gelu_tanh"  # gelu (erf): timm, DeiT; quick_gelu: CLIP; swiglu
    layer_norm_epsilon: float = 1e-6  # 1e-5: CLIP; 1e-12: Hugging Face's own ViT
    patch_bias: bool = True  # of the patch embedding; CLIP has none
    posemb_prefix: bool = True  # rows for class token and registers; DeiT III: none
    num_registers: int = 0  # tokens that are no output (arXiv:2309.16588); DINOv2: 4
    distillation_token: bool = False  # and a head of its own; DeiT (arXiv:2012.12877)
    pre_norm: bool = False  # a LayerNorm before the blocks; CLIP (arXiv:2103.00020)
    fc_norm: bool = False  # the last LayerNorm follows the pooling; timm, MAE
    qk_norm: bool = False  # LayerNorm of queries and keys (arXiv:2302.05442)
    layer_scale_init: float | None = None  # None: none; CaiT (arXiv:2103.17239)
    # Hybrids: bottleneck units per stage, after the root; () is the root alone.
    resnet_layers: tuple[int, ...] | None = None
    resnet_width_factor: float = 1.0  # times 64 channels in the root
    tokens_mlp_dim: int | None = None  # Mixer: width of the MLP over the patches
    # How it is computed, not what: any checkpoint of ours goes on under any of them.
    scan: bool = False  # compile one layer, not l; parameters are stacked
    remat: str = "none"  # what a layer computes again for its backward pass
    attention: str = "xla"  # cudnn: NVIDIA's fused kernel, in bfloat16 on their GPUs


# The last fields, where they change nothing: how a checkpoint is used anywhere.
PLAIN = {"scan": False, "remat": "none", "attention": "xla"}


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
        check_choice(f"{where}.augment", self.augment, ("none", "three"))
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


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """The optimizer, its schedule, and what it applies to. See ``vit_jax.optim``."""

    name: str = "sgd"
    learning_rate: float = 0.03
    schedule: str = "cosine"
    linear_end: float = 1e-5  # where the linear schedule ends
    warmup_steps: int | None = None
    warmup_epochs: float | None = None
    warmup_percent: float | None = None  # of all steps
    momentum: float = 0.9  # sgd
    b1: float = 0.9  # adam, adamw
    b2: float = 0.999
    eps: float = 1e-8
    accumulator_dtype: str = "float32"  # of the first moment
    offload: bool = False  # keep the moments in the host's memory between updates
    clip_global_norm: float = 1.0  # 0: no clipping
    weight_decay: float = 0.0
    # First match wins, a pattern matches the whole path, every parameter is covered.
    weight_decay_multipliers: Table = ((".*/kernel", 1.0), (".*", 0.0))
    learning_rate_multipliers: Table = ((".*", 1.0),)  # 0.0: frozen

    def __post_init__(self) -> None:
        where = "config.optim"
        check_choice(f"{where}.name", self.name, ("sgd", "adam", "adamw"))
        check_choice(
            f"{where}.schedule", self.schedule, ("cosine", "linear", "constant")
        )
        check_choice(
            f"{where}.accumulator_dtype",
            self.accumulator_dtype,
            ("float32", "bfloat16"),
        )
        for name in ("learning_rate", "clip_global_norm", "weight_decay", "linear_end"):
            value = getattr(self, name)
            check(0 <= value < math.inf, f"{where}.{name}", "finite and >= 0", value)
        check(0 < self.eps < math.inf, f"{where}.eps", "finite and > 0", self.eps)
        for name in ("momentum", "b1", "b2"):
            value = getattr(self, name)
            check(0 <= value < 1, f"{where}.{name}", "in [0, 1)", value)
        if self.weight_decay and self.name == "adam":
            raise ConfigError(
                "config.optim.weight_decay must be 0 with adam, got "
                f"{self.weight_decay}; use --config.optim.name=adamw"
            )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long, how often, and with which loss."""

    total_steps: int | None = None
    total_epochs: float | None = None
    total_examples: int | None = None
    eval_every_steps: int | None = None
    eval_every_epochs: float | None = None
    eval_every_percent: float | None = None
    save_every_steps: int | None = None
    save_every_epochs: float | None = None
    save_every_percent: float | None = None
    log_every_steps: int = 50  # a short run reports five times at least
    accum_steps: int = 1  # micro-batches that one update is made of
    loss: str = "softmax"
    label_smoothing: float = 0.0
    ema_decay: float | None = (
        None  # of an average of the parameters, which is then used
    )
    keep_checkpoints: int = 1

    def __post_init__(self) -> None:
        where = "config.train"
        for name in ("log_every_steps", "accum_steps", "keep_checkpoints"):
            check(
                getattr(self, name) > 0, f"{where}.{name}", "> 0", getattr(self, name)
            )
        decay = self.ema_decay
        check(decay is None or 0 < decay < 1, f"{where}.ema_decay", "in (0, 1)", decay)
        check_choice(f"{where}.loss", self.loss, ("softmax", "sigmoid"))
        check(
            0 <= self.label_smoothing < 1,
            f"{where}.label_smoothing",
            "in [0, 1)",
            self.label_smoothing,
        )


# Sizes of the mesh axes data, fsdp, tensor; -1 takes the devices left.
MESH_PRESETS: dict[str, tuple[int, int, int]] = {
    "dp": (-1, 1, 1),
    "fsdp": (1, -1, 1),
    "fsdp_tp": (1, -1, 2),
}


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes; None is the preset's, one may be -1: the devices left.

    ``data`` cuts the batch; ``fsdp`` the batch, the parameters and their moments;
    ``tensor`` heads, MLP and classes.
    """

    data: int | None = None
    fsdp: int | None = None
    tensor: int | None = None
    preset: str = "dp"

    def __post_init__(self) -> None:
        check_choice("config.mesh.preset", self.preset, MESH_PRESETS)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The sizes of ``data``, ``fsdp`` and ``tensor``."""
        data, fsdp, tensor = (
            size if given is None else given
            for given, size in zip(
                (self.data, self.fsdp, self.tensor),
                MESH_PRESETS[self.preset],
                strict=True,
            )
        )
        return data, fsdp, tensor


@dataclasses.dataclass(frozen=True)
class InitConfig:
    """What the parameters start from, when the workdir has no checkpoint yet."""

    checkpoint: str | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    name: str
    data: DataConfig
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    mesh: MeshConfig = MeshConfig()
    init: InitConfig = InitConfig()
    seed: int = 0
    profile: Pair | None = None  # first and last update that is traced; "100": one

    def __post_init__(self) -> None:
        check(0 <= self.seed < 2**63, "config.seed", "in [0, 2**63)", self.seed)
        first, last = self.profile or (1, 1)
        rule = "(first, last) with 1 <= first <= last"
        check(1 <= first <= last, "config.profile", rule, self.profile)
        batch, parts = self.data.batch_size, self.train.accum_steps
        if batch % parts:
            raise ConfigError(
                f"config.data.batch_size must be a multiple of config.train.accum_steps"
                f" ({parts}), got {batch}; try {batch // parts * parts + parts}"
            )
