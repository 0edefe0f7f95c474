"""Hugging Face's config.json and preprocessor_config.json, read and written."""

import math
import re
from collections.abc import Mapping
from typing import Any

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
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}
_THEIR_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "quick_gelu": "quick_gelu",
    "swiglu": "gelu",  # DINOv2 says it in another field
}
# transformers' own defaults, where there is no config: activation, epsilon.
_DEFAULTS = {
    "vit": ("gelu", 1e-12),
    "deit": ("gelu", 1e-12),
    "dinov2": ("gelu", 1e-6),
    "siglip": ("gelu_tanh", 1e-6),
    "clip": ("quick_gelu", 1e-5),
}
_RESAMPLE = {2: "bilinear_antialias", 3: "bicubic"}  # Pillow's numbers
_CLASSES = {
    "vit": ("ViTForImageClassification", "ViTModel"),
    "deit": ("DeiTForImageClassificationWithTeacher", "DeiTModel"),
    "dinov2": ("Dinov2ForImageClassification", "Dinov2Model"),
    "siglip": ("SiglipForImageClassification", "SiglipVisionModel"),
    "clip": ("CLIPForImageClassification", "CLIPVisionModel"),
}
_MODEL_TYPES = {
    "vit": "vit",
    "deit": "deit",
    "dinov2": "dinov2",
    "siglip": "siglip_vision_model",
    "clip": "clip_vision_model",
}


def read_huggingface_config(
    config: Mapping[str, Any], preprocessor: Mapping[str, Any], kind: str
) -> Metadata:
    """Returns what the configs say; what they leave out, transformers' own defaults.

    Args:
        config: config.json; empty where there is none.
        preprocessor: preprocessor_config.json; empty where there is none.
        kind: one of `huggingface_rules.ARCHITECTURES`.
    """
    vision = config.get("vision_config")
    tower = {**config, **vision} if isinstance(vision, Mapping) else config
    activation, epsilon = _DEFAULTS[kind]
    notes = []
    if not config:
        notes.append(
            f"{activation} and epsilon {epsilon:g}, transformers' own defaults, as no "
            "config.json is in its folder"
        )
    act = tower.get("hidden_act")
    if isinstance(act, str) and not tower.get("use_swiglu_ffn"):
        check_supported("hidden_act", act, _ACTIVATIONS)
        activation = _ACTIVATIONS[act]
    fields = {
        "activation": activation,
        "layer_norm_epsilon": read_positive(tower, "layer_norm_eps", float) or epsilon,
        "num_heads": read_positive(tower, "num_attention_heads"),
    }
    preprocessing, more = _read_preprocessing(tower, preprocessor)
    multi_label = config.get("problem_type") == _MULTI_LABEL
    return Metadata(
        fields,
        preprocessing,
        _read_class_names(config),
        (*notes, *more),
        "sigmoid" if multi_label else None,
    )


_MULTI_LABEL = "multi_label_classification"  # each class by itself


def make_huggingface_config(checkpoint: Checkpoint, kind: str) -> dict[str, Any]:
    """Returns the config.json of a model.

    Args:
        checkpoint: that transformers can hold.
        kind: one of `huggingface_rules.ARCHITECTURES`.
    """
    model, num_classes = checkpoint.model, checkpoint.num_classes
    sizes = checkpoint.preprocessing
    size = sizes.image_size if sizes else (224, 224)
    down, across = model.patch_size or (0, 0)
    square = size[0] == size[1]
    config: dict[str, Any] = {
        "architectures": [_CLASSES[kind][num_classes is None]],
        "model_type": _MODEL_TYPES[kind],
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": _THEIR_ACTIVATIONS[model.activation],
        "hidden_dropout_prob": 0.0,
        "hidden_size": model.hidden_size,
        "image_size": size[0] if square else list(size),
        "intermediate_size": model.mlp_dim,
        "layer_norm_eps": model.layer_norm_epsilon,
        "num_attention_heads": model.num_heads,
        "num_channels": 3,
        "num_hidden_layers": model.num_layers,
        "patch_size": down if down == across else [down, across],
        "qkv_bias": True,
    }
    if kind == "dinov2":
        config |= {
            "mlp_ratio": find_dinov2_ratio(model),
            "use_swiglu_ffn": model.activation == "swiglu",
        }
        if model.num_registers:
            config["num_register_tokens"] = model.num_registers
            config["model_type"] = "dinov2_with_registers"
            config["architectures"] = ["Dinov2WithRegistersModel"]
    if num_classes is not None:
        names = checkpoint.class_names or [f"LABEL_{i}" for i in range(num_classes)]
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
        if checkpoint.loss == "sigmoid":
            config["problem_type"] = _MULTI_LABEL
    if model.representation_size is not None:
        config |= {"pooler_act": "tanh"}
        config |= {"pooler_output_size": model.representation_size}
    return config


def find_dinov2_ratio(model: ModelConfig) -> int | None:
    """Returns the MLP's width over the model's, as DINOv2's config has it; else None."""
    for ratio in range(1, 17):
        size = (model.hidden_size or 0) * ratio
        if model.activation == "swiglu":
            size = (int(size * 2 / 3) + 7) // 8 * 8
        if size == model.mlp_dim:
            return ratio
    return None


def make_preprocessor_config(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns the preprocessor_config.json of a model."""
    mean, std = get_mean_and_std(preprocessing)
    height, width = preprocessing.image_size
    sizes: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": height, "width": width},
    }
    if preprocessing.eval_crop == "center":
        edge = math.floor(min(height, width) / preprocessing.eval_crop_fraction)
        sizes = {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": edge},
            "do_center_crop": True,
            "crop_size": {"height": height, "width": width},
        }
    return {
        **sizes,
        "do_resize": True,
        "resample": 3 if preprocessing.interpolation == "bicubic" else 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
    }


def _read_preprocessing(
    tower: Mapping[str, Any], preprocessor: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    fields: dict[str, Any] = {}
    resized, crop = preprocessor.get("size"), None
    if preprocessor.get("do_center_crop") is True:
        crop = read_image_size(preprocessor.get("crop_size"))
        edge = resized.get("shortest_edge") if isinstance(resized, Mapping) else None
        edge = min(read_image_size(edge if edge else resized) or (0,))
        fields["eval_crop"] = "center"
        if crop and edge >= min(crop):
            fields["eval_crop_fraction"] = min(crop) / edge
    size = crop or read_image_size(resized) or read_image_size(tower.get("image_size"))
    if size:
        fields["image_size"] = size
    resample = preprocessor.get("resample")
    notes = []
    if type(resample) is int and resample in _RESAMPLE:
        fields["interpolation"] = _RESAMPLE[resample]
    elif resample is not None:
        notes.append(f"its resample {make_printable(str(resample))} is not known; images "
                     "are resized bilinearly")  # fmt: skip
    mean, std = preprocessor.get("image_mean"), preprocessor.get("image_std")
    scaling = make_value_range(mean, std)
    if not scaling:
        notes.append("images from -1 to 1: the file does not say it")
    return {**fields, **scaling}, notes


def _read_class_names(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    table = config.get("id2label")
    if not isinstance(table, Mapping) or not table:
        return None
    names = [table.get(str(i)) for i in range(len(table))]
    if not all(isinstance(name, str) for name in names):
        return None
    if all(re.fullmatch(r"LABEL_\d+", str(name)) for name in names):
        return None  # transformers' way to say that it does not know
    return tuple(str(name) for name in names)
