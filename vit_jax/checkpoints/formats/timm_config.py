"""timm's config.json: what it says about a model beyond its arrays, and how it is made."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from vit_jax import models
from vit_jax.checkpoints.formats.metadata import (
    Metadata,
    check_supported,
    get_mean_and_std,
    make_value_range,
    read_image_size,
    read_positive,
)
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.trees import make_printable
from vit_jax.config import ModelConfig, Preprocessing

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "silu": "swiglu",
}
_TIMM_ACTIVATIONS = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
# timm's towers of SigLIP that compute GELU as they were trained; its others do not.
_WITH_TANH = re.compile(
    r"vit_((base_patch32|so400m_patch16)_siglip_|large_patch16_siglip_(gap_)?512)"
)
_POOLS = {"token": "token", "gap": "avg", "map": "map"}
_INTERPOLATIONS = {"bicubic": "bicubic", "bilinear": "bilinear_antialias"}


def read_timm_config(config: Mapping[str, Any], names: Collection[str]) -> Metadata:
    """Returns what timm's config.json says; what it leaves out, timm's own defaults.

    Args:
        config: empty where there is none.
        names: of the state dict.
    """
    fields, notes = _read_fields(config, names)
    pretrained = config.get("pretrained_cfg")
    pretrained = pretrained if isinstance(pretrained, Mapping) else config
    preprocessing: dict[str, Any] = {}
    size = pretrained.get("input_size")
    pair = read_image_size(size[1:]) if isinstance(size, list | tuple) else None
    if pair is not None:
        preprocessing["image_size"] = pair
    fraction = read_positive(pretrained, "crop_pct", float)
    if pretrained.get("crop_mode") == "squash":
        preprocessing["eval_crop"] = "resize"
    elif fraction and fraction <= 1:
        preprocessing |= {"eval_crop": "center", "eval_crop_fraction": fraction}
    interpolation = pretrained.get("interpolation")
    if isinstance(interpolation, str) and interpolation in _INTERPOLATIONS:
        preprocessing["interpolation"] = _INTERPOLATIONS[interpolation]
    elif interpolation is not None:
        notes.append(f"its interpolation {make_printable(str(interpolation))} is not "
                     "known; images are resized bilinearly")  # fmt: skip
    scaling = make_value_range(pretrained.get("mean"), pretrained.get("std"))
    preprocessing |= scaling
    if not scaling:
        notes.append("images from -1 to 1: the file does not say it")
    labels = config.get("label_names", pretrained.get("label_names"))
    is_list = isinstance(labels, list) and all(isinstance(x, str) for x in labels)
    return Metadata(
        fields, preprocessing, tuple(labels) if is_list else None, tuple(notes)
    )


def make_timm_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns a config.json with which timm makes the model of a folder.

    ``timm.create_model("local-dir:FOLDER")``; not for hybrids, whose ResNet timm takes
    from its own names. A Mixer must be a published one, and timm's has another GELU.
    """
    model, num_classes = checkpoint.model, checkpoint.num_classes
    kind = models.find_row(model, _KINDS, "a model in timm's format")
    preprocessing = checkpoint.preprocessing or Preprocessing((224, 224))
    size = preprocessing.image_size
    mean, std = get_mean_and_std(preprocessing)
    is_center = preprocessing.eval_crop == "center"
    config: dict[str, Any] = {
        "architecture": kind.name(model),
        "num_classes": num_classes or 0,
        "model_args": {"img_size": list(size)}
        if kind.is_named
        else list_timm_arguments(model, size),
        "pretrained_cfg": {
            "input_size": [3, *size],
            "interpolation": "bicubic"
            if preprocessing.interpolation == "bicubic"
            else "bilinear",
            "crop_pct": preprocessing.eval_crop_fraction if is_center else 1.0,
            "crop_mode": "center" if is_center else "squash",
            "mean": mean,
            "std": std,
            "num_classes": num_classes or 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    if model.distillation_token:
        config["pretrained_cfg"]["classifier"] = ["head", "head_dist"]
    if checkpoint.class_names:
        config["label_names"] = list(checkpoint.class_names)
    return config


def _name_vit(model: ModelConfig) -> str:
    """Returns the timm model that has what its JSON arguments cannot say."""
    if model.distillation_token:
        return "deit_base_distilled_patch16_224"
    if model.activation == "swiglu":
        return "vit_giant_patch14_dinov2"
    # Its LayerNorm epsilon is 1e-5.
    return "vit_base_patch16_clip_224" if model.pre_norm else "vit_base_patch16_224"


def _name_mixer(model: ModelConfig) -> str:
    name = model.variant or "Mixer-B/16"
    return f"{name.lower().replace('-', '_').replace('/', '')}_224"


def list_timm_arguments(model: ModelConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Returns what timm's constructors must be given, except what JSON cannot hold."""
    made = {
        "img_size": list(size),
        "patch_size": (model.patch_size or (0,))[0],
        "embed_dim": model.hidden_size or 0,
    }
    kind = models.find_row(model, _KINDS, "a model in timm's format")
    return made | kind.arguments(model)


def _compute_ratio(dim: int | None, model: ModelConfig) -> float:
    """Returns the ratio to the width; timm rounds their product down."""
    return ((dim or 0) + 0.5) / (model.hidden_size or 1)


def _list_vit(model: ModelConfig) -> dict[str, Any]:
    packed = 2 if model.activation == "swiglu" else 1
    return {
        "depth": model.num_layers,
        "num_heads": model.num_heads,
        "mlp_ratio": _compute_ratio(packed * (model.mlp_dim or 0), model),
        "class_token": model.classifier == "token",
        "global_pool": _POOLS[model.classifier],
        "no_embed_class": not model.posemb_prefix,
        "reg_tokens": model.num_registers,
        "pre_norm": model.pre_norm,
        "fc_norm": model.fc_norm,
        "qk_norm": model.qk_norm,
        "init_values": model.layer_scale_init,
        "act_layer": _TIMM_ACTIVATIONS[model.activation],
    }


def _list_mixer(model: ModelConfig) -> dict[str, Any]:
    ratios = [
        _compute_ratio(model.tokens_mlp_dim, model),
        _compute_ratio(model.mlp_dim, model),
    ]
    return {"num_blocks": model.num_layers, "mlp_ratio": ratios}


class _Kind(NamedTuple):
    """How timm makes the models of a family.

    Attributes:
        name: returns the name of a timm model, for what its JSON arguments cannot say.
        arguments: returns those of its constructor.
        is_named: whether the name says all arguments but the image size.
    """

    name: Callable[[ModelConfig], str]
    arguments: Callable[[ModelConfig], dict[str, Any]]
    is_named: bool = False


_KINDS = {
    "vit": _Kind(_name_vit, _list_vit),
    "hybrid": _Kind(_name_vit, _list_vit),
    "mixer": _Kind(_name_mixer, _list_mixer, is_named=True),
}


def _read_fields(
    config: Mapping[str, Any], names: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    arguments = config.get("model_args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    name = config.get("architecture")
    name = name if isinstance(name, str) else ""
    fields: dict[str, Any] = {"num_heads": read_positive(arguments, "num_heads")}
    is_mixer = "stem.proj.weight" in names
    if is_mixer:
        return {}, ["GELU by tanh and epsilon 1e-6, as the original's Mixer"]
    clip = "norm_pre.weight" in names or "_clip_" in name
    fields["layer_norm_epsilon"] = 1e-5 if clip else 1e-6
    activation = arguments.get("act_layer")
    if isinstance(activation, str):
        check_supported("act_layer", activation, _ACTIVATIONS)
        fields["activation"] = _ACTIVATIONS[activation]
    elif "quickgelu" in name:
        fields["activation"] = "quick_gelu"
    elif _WITH_TANH.match(name):
        fields["activation"] = "gelu_tanh"
    known = "activation" in fields or name
    notes = [] if known else ["GELU with the error function, as timm's default"]
    if not name:
        epsilon = fields["layer_norm_epsilon"]
        notes.append(f"LayerNorm epsilon {epsilon:g}, as timm's default")
    if any(n.startswith("patch_embed.backbone.") for n in names):
        notes.append("group norm and standardised convolutions as in the original")
    pool = arguments.get("global_pool")
    if isinstance(pool, str) and pool:
        check_supported("global_pool", pool, _POOLS.values())
    if pool == "avg":
        fields["classifier"] = "gap"
    prefix = arguments.get("no_embed_class")
    if isinstance(prefix, bool):
        fields["posemb_prefix"] = not prefix
    return fields, notes
