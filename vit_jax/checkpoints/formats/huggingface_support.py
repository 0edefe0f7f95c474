"""What Hugging Face transformers' architectures can hold of a model."""

from vit_jax.checkpoints.formats.huggingface_config import find_dinov2_ratio
from vit_jax.checkpoints.formats.support import ANY, SIZES, Support
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig

_EVERY: Support = {
    **SIZES,
    "family": ("vit",),
    "posemb": ("learned",),
    "posemb_prefix": ANY,  # rows of zeros are written where there are none
    "classifier": ("token",),
    "activation": ("gelu", "gelu_tanh", "quick_gelu"),
    "layer_norm_epsilon": ANY,
}
# Their heads see features that none of ours does, so only the tower is written.
_TOWER: Support = {**_EVERY, "num_classes": (None,)}
_SUPPORT: dict[str, Support] = {
    "vit": {**_EVERY, "representation_size": ANY},
    "deit": {**_EVERY, "distillation_token": ANY},
    "dinov2": {
        **_TOWER,
        "activation": (*_EVERY["activation"], "swiglu"),
        "num_registers": ANY,
        "layer_scale_init": ANY,
    },
    "siglip": {**_TOWER, "classifier": ("map",)},
    "clip": {**_TOWER, "patch_bias": (False,), "pre_norm": ANY},
}


def choose_architecture(model: ModelConfig) -> str:
    """Returns which of `huggingface_rules.ARCHITECTURES` could hold a model."""
    if model.classifier == "map":
        return "siglip"
    if model.layer_scale_init is not None:
        return "dinov2"
    if model.pre_norm:
        return "clip"
    return "deit" if model.distillation_token else "vit"


def get_huggingface_support(model: ModelConfig) -> Support:
    """Returns what the architecture of a model can hold of it."""
    return _SUPPORT[choose_architecture(model)]


def find_huggingface_problems(checkpoint: Checkpoint) -> dict[str, str]:
    """Returns what no single field decides."""
    model, problems = checkpoint.model, {}
    if model.representation_size and checkpoint.num_classes is not None:
        problems["head"] = "it would see the class token itself, not the pre-logits"
    if choose_architecture(model) == "dinov2" and not find_dinov2_ratio(model):
        problems["mlp_dim"] = "it must be an integer multiple of the width"
    return problems
