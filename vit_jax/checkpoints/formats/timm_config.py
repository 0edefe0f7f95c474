"""timm's config.json: what it says about a model beyond its arrays, and how it is made."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vit_jax.checkpoints.formats.facts import (
    Facts,
    image_size,
    mean_and_std,
    positive,
    value_range,
)
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


def read(config: Mapping[str, Any], names: Collection[str]) -> Facts:
    """Returns what timm's config.json says; what it leaves out, timm's own defaults.

    Args:
        config: empty where there is none.
        names: of the state dict.
    """
    fields, notes = _fields(config, names)
    pretrained = config.get("pretrained_cfg")
    pretrained = pretrained if isinstance(pretrained, Mapping) else config
    preprocessing: dict[str, Any] = {}
    size = pretrained.get("input_size")
    pair = image_size(size[1:]) if isinstance(size, list | tuple) else None
    if pair is not None:
        preprocessing["image_size"] = pair
    fraction = positive(pretrained, "crop_pct", float)
    if pretrained.get("crop_mode") == "squash":
        preprocessing["eval_crop"] = "resize"
    elif fraction and fraction <= 1:
        preprocessing |= {"eval_crop": "center", "eval_crop_fraction": fraction}
    interpolation = pretrained.get("interpolation")
    if isinstance(interpolation, str) and interpolation in _INTERPOLATIONS:
        preprocessing["interpolation"] = _INTERPOLATIONS[interpolation]
    scaling = value_range(pretrained.get("mean"), pretrained.get("std"))
    preprocessing |= scaling
    if not scaling:
        notes.append("images from -1 to 1: the file does not say it")
    labels = config.get("label_names", pretrained.get("label_names"))
    is_list = isinstance(labels, list) and all(isinstance(x, str) for x in labels)
    return Facts(
        fields, preprocessing, tuple(labels) if is_list else None, tuple(notes)
    )


def write(
    model: ModelConfig,
    num_classes: int | None,
    preprocessing: Preprocessing | None,
    class_names: Sequence[str] | None,
) -> dict[str, Any]:
    """Returns a config.json with which timm makes the model of a folder.

    ``timm.create_model("local-dir:FOLDER")``; not for hybrids, whose ResNet timm takes
    from its own names. A Mixer must be a published one, and timm's has another GELU.
    """
    preprocessing = preprocessing or Preprocessing((224, 224))
    size = preprocessing.image_size
    mean, std = mean_and_std(preprocessing)
    is_center = preprocessing.eval_crop == "center"
    config: dict[str, Any] = {
        "architecture": _architecture(model),
        "num_classes": num_classes or 0,
        "model_args": _json_arguments(model, size),
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
    if class_names:
        config["label_names"] = list(class_names)
    return config


def _architecture(model: ModelConfig) -> str:
    """Returns the timm model that has what its JSON arguments cannot say."""
    if model.family == "mixer":
        name = model.variant or "Mixer-B/16"
        return f"{name.lower().replace('-', '_').replace('/', '')}_224"
    if model.distillation_token:
        return "deit_base_distilled_patch16_224"
    if model.activation == "swiglu":
        return "vit_giant_patch14_dinov2"
    # Its LayerNorm epsilon is 1e-5.
    return "vit_base_patch16_clip_224" if model.pre_norm else "vit_base_patch16_224"


def _json_arguments(model: ModelConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Returns what is to be given beside the architecture; a Mixer's is in its name."""
    if model.family == "mixer":
        return {"img_size": list(size)}
    return arguments(model, size)


def arguments(model: ModelConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Returns what timm's constructors must be given, but for what is no JSON."""
    width, mlp_dim = model.hidden_size or 0, model.mlp_dim or 0
    made: dict[str, Any] = {
        "img_size": list(size),
        "patch_size": (model.patch_size or (0,))[0],
        "embed_dim": width,
    }

    def ratio(dim: int) -> float:  # timm rounds the product down
        return (dim + 0.5) / width

    if model.family == "mixer":
        ratios = [ratio(model.tokens_mlp_dim or 0), ratio(mlp_dim)]
        return made | {"num_blocks": model.num_layers, "mlp_ratio": ratios}
    packed = 2 if model.activation == "swiglu" else 1
    return made | {
        "depth": model.num_layers,
        "num_heads": model.num_heads,
        "mlp_ratio": ratio(packed * mlp_dim),
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


def _fields(
    config: Mapping[str, Any], names: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    arguments = config.get("model_args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    name = config.get("architecture")
    name = name if isinstance(name, str) else ""
    fields: dict[str, Any] = {"num_heads": positive(arguments, "num_heads")}
    is_mixer = "stem.proj.weight" in names
    if is_mixer:
        return {}, ["GELU by tanh and epsilon 1e-6, as the original's Mixer"]
    clip = "norm_pre.weight" in names or "_clip_" in name
    fields["layer_norm_epsilon"] = 1e-5 if clip else 1e-6
    activation = arguments.get("act_layer")
    if isinstance(activation, str) and activation in _ACTIVATIONS:
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
    if pool == "avg":
        fields["classifier"] = "gap"
    prefix = arguments.get("no_embed_class")
    if isinstance(prefix, bool):
        fields["posemb_prefix"] = not prefix
    return fields, notes
