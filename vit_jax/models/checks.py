"""Checks of a `ModelConfig`: each value, and the values that depend on each other."""

import dataclasses

import jax
from jax.sharding import Mesh

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError, check, check_choice
from vit_jax.models.attention import CUDNN_HEAD, IMPLEMENTATIONS
from vit_jax.models.heads import CLASSIFIERS
from vit_jax.models.layers import REMAT
from vit_jax.models.mlp import ACTIVATIONS
from vit_jax.models.patches import nearest_multiples
from vit_jax.models.posemb import POSEMBS

_LOWEST = {
    "patch_size": 1,
    "hidden_size": 1,
    "num_layers": 1,
    "num_heads": 1,
    "mlp_dim": 1,
    "representation_size": 1,
    "num_registers": 0,
    "resnet_layers": 1,
    "resnet_width_factor": 0.5,
    "tokens_mlp_dim": 1,
}


def check_values(config: ModelConfig) -> None:
    """Checks each value, and the values that depend on each other.

    Raises:
        ConfigError: for the first invalid one, with what to type instead.
    """
    check_choice("config.model.classifier", config.classifier, CLASSIFIERS)
    check_choice("config.model.posemb", config.posemb, POSEMBS)
    check_choice("config.model.activation", config.activation, ACTIVATIONS)
    check_choice("config.model.remat", config.remat, REMAT)
    if config.remat == "half" and config.scan:
        raise ConfigError(
            "config.model.remat must not be half under a scan, which treats all layers "
            'alike, got "half"; use full, or --config.model.scan=False'
        )
    check_choice("config.model.dtype", config.dtype, ("float32", "bfloat16", "float16"))
    epsilon = config.layer_norm_epsilon
    check(epsilon > 0, "config.model.layer_norm_epsilon", "> 0", epsilon)
    for name in (field.name for field in dataclasses.fields(config)):
        value = getattr(config, name)
        if name.endswith("_rate") and not 0 <= value < 1:
            raise ConfigError(
                f"config.model.{name} must be in [0, 1), got {value}; 0 switches it off"
            )
    for name, lowest in _LOWEST.items():
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        if any(v is not None and v < lowest for v in values):
            raise ConfigError(
                f"config.model.{name} must be at least {lowest}, got {value}; "
                f"set it to {lowest} or more"
            )
    if config.resnet_width_factor * 2 % 1:
        raise ConfigError(
            "config.model.resnet_width_factor must be a multiple of 0.5, for group "
            f"norm's 32 groups, got {config.resnet_width_factor}; use 1.0"
        )
    _check_heads(config)
    _check_attention(config)
    if config.distillation_token and (
        config.classifier != "token" or config.representation_size or config.fc_norm
    ):
        raise ConfigError(
            "config.model.distillation_token must be False unless classifier is "
            "token, without representation_size and fc_norm, got True; change either"
        )


def _check_attention(config: ModelConfig) -> None:
    """Checks that NVIDIA's kernel supports the model; see also `check_devices`."""
    check_choice("config.model.attention", config.attention, IMPLEMENTATIONS)
    if config.attention != "cudnn":
        return
    width = (config.hidden_size or 0) // (config.num_heads or 1)
    for ok, what, rule, value in (
        (config.dtype != "float32", "dtype", "bfloat16 or float16", config.dtype),
        (
            config.attention_dropout_rate == 0,
            "attention_dropout_rate",
            "0",
            config.attention_dropout_rate,
        ),
        (
            POSEMBS[config.posemb].make_bias is None,
            "posemb",
            "one without a bias",
            config.posemb,
        ),
        (
            width % 8 == 0 and width <= CUDNN_HEAD,
            "hidden_size / num_heads",
            f"a multiple of 8, at most {CUDNN_HEAD},",
            width,
        ),
    ):
        if not ok:
            raise ConfigError(
                f"config.model.{what} must be {rule} with attention cudnn, got {value}; "
                "change it, or --config.model.attention=xla"
            )


def check_devices(config: ModelConfig, mesh: Mesh) -> None:
    """Checks that the devices support the implementation of the attention.

    Raises:
        ConfigError: they do not, or they are only described, not present.
    """
    device = mesh.devices.flat[0]
    if config.attention == "cudnn" and (
        not isinstance(device, jax.Device) or device.platform != "gpu"
    ):
        raise ConfigError(
            f"config.model.attention must be xla for {device.device_kind}, which is "
            'not an NVIDIA GPU of this machine, got "cudnn"; leave it out'
        )


def _check_heads(config: ModelConfig) -> None:
    """Checks the width against the heads and the position embedding."""
    if config.num_heads is None or config.hidden_size is None:
        return
    width, kind = config.hidden_size, POSEMBS[config.posemb]
    unit, lowest = kind.unit(config.num_heads), kind.lowest_width
    if width < lowest:
        raise ConfigError(
            f"config.model.hidden_size must be at least {lowest} for posemb "
            f"{config.posemb}, got {width}; use {unit * -(-lowest // unit)}"
        )
    if width % unit:
        below, above = nearest_multiples(width, unit)
        raise ConfigError(
            f"config.model.hidden_size must be a multiple of {unit} for num_heads "
            f"{config.num_heads} and posemb {config.posemb}, got {width}; "
            f"use {below} or {above}"
        )
