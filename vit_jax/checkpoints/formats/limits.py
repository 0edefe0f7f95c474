"""What each format can hold, and what may be left out of it."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from vit_jax.checkpoints.formats.huggingface import architecture_of
from vit_jax.checkpoints.formats.huggingface_config import dinov2_ratio
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError, check_choice

FORMATS = ("google", "google_prelinen", "big_vision", "timm", "huggingface")
# What --drop may name, and which parameters that means.
DROPPABLE = {
    "pre_logits": ("pre_logits/",),
    "head": ("head/", "head_dist/"),
    "activation": (),
    "layer_norm_epsilon": (),
}
_DROP_NAMES = {"representation_size": "pre_logits"}

# Field of ModelConfig -> the values that a format can mean; the first is the usual one.
_ORIGINAL: dict[str, tuple[Any, ...]] = {
    "activation": ("gelu_tanh",),
    "layer_norm_epsilon": (1e-6,),
    "patch_bias": (True,),
    "num_registers": (0,),
    "distillation_token": (False,),
    "pre_norm": (False,),
    "fc_norm": (False,),
    "qk_norm": (False,),
    "layer_scale_init": (None,),
}
_GOOGLE = {
    **_ORIGINAL,
    "posemb": ("learned",),
    "classifier": ("token", "gap", "unpooled", "token_unpooled"),
}
_BIG_VISION = {
    **_ORIGINAL,
    "family": ("vit",),
    "posemb": ("learned", "sincos2d"),
    "classifier": ("token", "gap", "map"),
}
_TIMM = {
    "posemb": ("learned",),
    "classifier": ("token", "gap", "map"),
    "representation_size": (None,),
    "layer_norm_epsilon": (1e-6,),
}
_HUGGING_FACE = {
    "family": ("vit",),
    "posemb": ("learned",),
    "activation": ("gelu", "gelu_tanh", "quick_gelu"),
    "qk_norm": (False,),
    "fc_norm": (False,),
}
_TOWER = {**_HUGGING_FACE, "representation_size": (None,), "num_classes": (None,)}
_ARCHITECTURES = {
    "vit": {"classifier": ("token",), "num_registers": (0,), "patch_bias": (True,)},
    "deit": {"classifier": ("token",), "num_registers": (0,), "patch_bias": (True,),
             "representation_size": (None,)},
    "dinov2": {**_TOWER, "classifier": ("token",), "patch_bias": (True,),
               "pre_norm": (False,), "distillation_token": (False,),
               "activation": (*_HUGGING_FACE["activation"], "swiglu")},
    "siglip": {**_TOWER, "num_registers": (0,), "patch_bias": (True,),
               "pre_norm": (False,), "layer_scale_init": (None,)},
    "clip": {**_TOWER, "classifier": ("token",), "num_registers": (0,),
             "patch_bias": (False,), "distillation_token": (False,)},
}  # fmt: skip


class Fitted(NamedTuple):
    """A checkpoint that a format can hold."""

    tree: dict[str, Lazy]
    model: ModelConfig
    num_classes: int | None


def fit(
    file_format: str,
    tree: Mapping[str, Lazy],
    model: ModelConfig,
    num_classes: int | None,
    drop: Collection[str],
) -> Fitted:
    """Returns the checkpoint without what is to be dropped, if the format can hold it.

    Raises:
        ConfigError: naming what it cannot hold.
    """
    for name in drop:
        check_choice("--drop", name, DROPPABLE)
    fitted = _dropped(file_format, tree, model, num_classes, drop)
    problems = _problems(file_format, fitted, model)
    if problems:
        names = [_DROP_NAMES.get(field, field) for field in problems]
        can_drop = [n for n in names if n in DROPPABLE]
        if model.activation == "swiglu":  # its gate is half of the weights
            can_drop = [n for n in can_drop if n != "activation"]
        advice = "write another format"
        if len(can_drop) == len(names):
            flags = " ".join(f"--drop={name}" for name in can_drop)
            advice = f"leave it out with {flags}, or {advice}"
        listed = "; ".join(
            f"{name} ({problem})"
            for name, problem in zip(names, problems.values(), strict=True)
        )
        raise ConfigError(f"{file_format} cannot hold {listed}; {advice}")
    return fitted


def _limits(file_format: str, fitted: Fitted) -> dict[str, tuple[Any, ...]]:
    if file_format.startswith("google"):
        return _GOOGLE
    if file_format == "big_vision":
        with_row = fitted.model.classifier == "token"
        rows = (False,) if with_row else (False, True)
        return {**_BIG_VISION, "posemb_prefix": rows}
    if file_format == "timm":
        epsilon = (1e-5,) if fitted.model.pre_norm else (1e-6,)
        return {**_TIMM, "layer_norm_epsilon": epsilon}
    return {**_HUGGING_FACE, **_ARCHITECTURES[architecture_of(fitted.model)]}


def _problems(file_format: str, fitted: Fitted, model: ModelConfig) -> dict[str, str]:
    values = {**dataclasses.asdict(fitted.model), "num_classes": fitted.num_classes}
    problems = {
        "head" if field == "num_classes" else field: f"it is {values[field]}, and must "
        f"be {' or '.join(str(value) for value in allowed)}"
        for field, allowed in _limits(file_format, fitted).items()
        if values[field] not in allowed
    }
    has_both = model.representation_size and fitted.num_classes is not None
    kept = fitted.model.representation_size and "representation_size" not in problems
    if has_both and not kept:
        problems["head"] = "without the pre-logits that it was trained on, it is no use"
    elif has_both and file_format == "huggingface":
        problems["head"] = "it would see the class token itself, not the pre-logits"
    is_dinov2 = architecture_of(fitted.model) == "dinov2"
    if file_format == "huggingface" and is_dinov2 and not dinov2_ratio(fitted.model):
        problems["mlp_dim"] = "it must be a whole number of times the width"
    return problems


def _dropped(
    file_format: str,
    tree: Mapping[str, Lazy],
    model: ModelConfig,
    num_classes: int | None,
    drop: Collection[str],
) -> Fitted:
    gone = tuple(prefix for name in drop for prefix in DROPPABLE[name])
    kept = {k: v for k, v in tree.items() if not gone or not k.startswith(gone)}
    fields: dict[str, Any] = {}
    if "pre_logits" in drop:
        fields["representation_size"] = None
    num_classes = None if "head" in drop else num_classes
    limits = _limits(file_format, Fitted(kept, model, num_classes))
    for name in ("activation", "layer_norm_epsilon"):
        allowed = limits.get(name, ())
        if name == "activation" and model.activation == "swiglu":
            continue
        if name in drop and allowed and getattr(model, name) not in allowed:
            fields[name] = allowed[0]
    return Fitted(kept, dataclasses.replace(model, **fields), num_classes)
