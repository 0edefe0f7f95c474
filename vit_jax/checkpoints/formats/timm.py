"""timm's state dict, as safetensors (or .pth): VisionTransformer, hybrids, MlpMixer.

The names of DeiT's and DINOv2's own files are nearly the same, and are read too.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax import models
from vit_jax.checkpoints import trees
from vit_jax.checkpoints.formats.assemble import assemble_torch
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.metadata import Metadata, read_json_file
from vit_jax.checkpoints.formats.support import ANY, SIZES, Support
from vit_jax.checkpoints.formats.timm_config import make_timm_config, read_timm_config
from vit_jax.checkpoints.formats.timm_peer import run_timm
from vit_jax.checkpoints.formats.torch_rules import (
    ATTENTION,
    BLOCK,
    MAP,
    MAP_ATTENTION,
    QKV,
    map_conv,
    map_dense,
    map_heads,
    map_mlp,
    map_norm,
    map_out,
    map_same,
)
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.trees import Rule
from vit_jax.config import ModelConfig
from vit_jax.models import POSITION, count_layers

_VIT = (
    *map_conv("patch_embed.proj", "embedding"),
    *map_same("cls_token", "cls"),
    *map_same("dist_token", "dist"),
    *map_same("reg_token", "registers"),
    *map_same("register_tokens", "registers"),  # DINOv2's own name
    *map_same("pos_embed", POSITION),
    *map_norm("norm_pre", "Transformer/pre_norm"),
    *map_norm("blocks.{i}.norm1", f"{BLOCK}/LayerNorm_0"),
    *map_heads("blocks.{i}.attn.qkv", ATTENTION, QKV),
    *map_norm("blocks.{i}.attn.q_norm", f"{ATTENTION}/query_ln"),
    *map_norm("blocks.{i}.attn.k_norm", f"{ATTENTION}/key_ln"),
    *map_out("blocks.{i}.attn.proj", ATTENTION),
    *map_same("blocks.{i}.ls1.gamma", f"{BLOCK}/LayerScale_0/scale"),
    *map_norm("blocks.{i}.norm2", f"{BLOCK}/LayerNorm_1"),
    *map_mlp("blocks.{i}.mlp", BLOCK),
    *map_mlp("blocks.{i}.mlp", BLOCK, "w12", "w3"),  # DINOv2's own name
    *map_same("blocks.{i}.ls2.gamma", f"{BLOCK}/LayerScale_1/scale"),
    *map_norm("norm", "Transformer/encoder_norm"),
    *map_same("attn_pool.latent", f"{MAP}/probe"),
    *map_heads("attn_pool.q", MAP_ATTENTION, ("query",)),
    *map_heads("attn_pool.kv", MAP_ATTENTION, ("key", "value")),
    *map_out("attn_pool.proj", MAP_ATTENTION),
    *map_norm("attn_pool.norm", f"{MAP}/LayerNorm_0"),
    *map_mlp("attn_pool.mlp", MAP),
    *map_norm("fc_norm", "fc_norm"),
    *map_dense("pre_logits.fc", "pre_logits"),  # only read: timm has dropped it
    *map_dense("head", "head"),
    *map_dense("head_dist", "head_dist"),
)
_MIXER = (
    *map_conv("stem.proj", "stem"),
    *map_norm("blocks.{i}.norm1", "MixerBlock_{i}/LayerNorm_0"),
    *map_dense("blocks.{i}.mlp_tokens.fc1", "MixerBlock_{i}/token_mixing/Dense_0"),
    *map_dense("blocks.{i}.mlp_tokens.fc2", "MixerBlock_{i}/token_mixing/Dense_1"),
    *map_norm("blocks.{i}.norm2", "MixerBlock_{i}/LayerNorm_1"),
    *map_dense("blocks.{i}.mlp_channels.fc1", "MixerBlock_{i}/channel_mixing/Dense_0"),
    *map_dense("blocks.{i}.mlp_channels.fc2", "MixerBlock_{i}/channel_mixing/Dense_1"),
    *map_norm("norm", "pre_head_layer_norm"),
    *map_dense("head", "head"),
)
_RULES = {"vit": _VIT, "hybrid": _VIT, "mixer": _MIXER}
_SIGN_OF_MIXER = "stem.proj.weight"
_UNIT = re.compile(r"patch_embed\.backbone\.stages\.(\d{1,3})\.blocks\.(\d{1,3})\.")
# Only for training.
_IGNORED = ("mask_token",)


_SUPPORT: Support = {
    **SIZES,
    "family": tuple(_RULES),
    "classifier": ("token", "gap", "map"),
    "posemb": ("learned",),
    "activation": ("gelu", "gelu_tanh", "quick_gelu", "swiglu"),
    **dict.fromkeys(
        (
            "posemb_prefix",
            "patch_bias",
            "num_registers",
            "distillation_token",
            "pre_norm",
            "fc_norm",
            "qk_norm",
            "layer_scale_init",
            "resnet_layers",
            "resnet_width_factor",
            "tokens_mlp_dim",
        ),
        ANY,
    ),
}


def _list_support(model: ModelConfig) -> Support:
    """Returns the fields that timm's constructors have; CLIP has another epsilon."""
    return {**_SUPPORT, "layer_norm_epsilon": (1e-5 if model.pre_norm else 1e-6,)}


def _recognises(names: Collection[str]) -> bool:
    return "blocks.0.norm1.weight" in names


def _read(tensors: Mapping[str, Lazy], metadata: Metadata, what: str) -> Checkpoint:
    """Returns the checkpoint of a state dict."""
    tensors = {k: v for k, v in tensors.items() if k not in _IGNORED}
    num_layers = count_layers(tensors, r"blocks\.(\d+)\.", what)
    units = {(int(m[1]), int(m[2])) for name in tensors if (m := _UNIT.match(name))}
    rules = trees.expand_rules(
        _MIXER if _SIGN_OF_MIXER in tensors else _VIT, num_layers
    )
    rules += _list_resnet_rules(units)
    if "register_tokens" in tensors and "pos_embed" in tensors:
        tensors["pos_embed"] = add_register_rows(
            tensors["pos_embed"], tensors["register_tokens"]
        )
        metadata = metadata.complete({"posemb_prefix": True})
    return assemble_torch("timm", tensors, rules, metadata, what)


def _write(checkpoint: Checkpoint) -> dict[str, Lazy]:
    """Returns the arrays under timm's names.

    Raises:
        MismatchError: timm has no place for one.
    """
    model = checkpoint.model
    units = {
        (stage, unit)
        for stage, num_units in enumerate(model.resnet_layers or ())
        for unit in range(num_units)
    }
    table = models.find_row(model, _RULES, "a model in timm's format")
    rules = [
        *trees.expand_rules(table, model.num_layers or 0),
        *_list_resnet_rules(units),
    ]
    return trees.convert_to(checkpoint.tensors, rules, "timm")


def _read_configs(folder: Path, names: Collection[str]) -> Metadata:
    return read_timm_config(read_json_file(folder / "config.json"), names)


def _make_configs(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"config.json": make_timm_config(checkpoint)}


def add_register_rows(table: Lazy, registers: Lazy) -> Lazy:
    """Returns a table of class token and patches with zero rows for registers between.

    DINOv2 (arXiv:2309.16588) adds positions before it puts the registers in.
    """
    if len(table.shape) != 3 or len(registers.shape) != 3 or 0 in table.shape:
        return table
    rows, count = table.shape[1], registers.shape[1]
    zeros = ((0, 0), (0, count), (0, 0))
    return table.map(
        lambda x: np.concatenate([np.pad(x[:, :1], zeros), x[:, 1:]], axis=1),
        (table.shape[0], rows + count, table.shape[2]),
    )


def _list_resnet_rules(units: Collection[tuple[int, int]]) -> list[Rule]:
    """Returns the rules of a hybrid's ResNet; it has no stages where it is the root."""
    root = "patch_embed.backbone.stem" if units else "patch_embed.backbone"
    rules = [
        *map_conv(f"{root}.conv", "conv_root"),
        *map_norm(f"{root}.norm", "gn_root"),
    ]
    for stage, unit in sorted(units):
        theirs = f"patch_embed.backbone.stages.{stage}.blocks.{unit}"
        ours = f"block{stage + 1}/unit{unit + 1}"
        rules += map_conv(f"{theirs}.downsample.conv", f"{ours}/conv_proj")
        rules += map_norm(f"{theirs}.downsample.norm", f"{ours}/gn_proj")
        for i in (1, 2, 3):
            rules += map_conv(f"{theirs}.conv{i}", f"{ours}/conv{i}")
            rules += map_norm(f"{theirs}.norm{i}", f"{ours}/gn{i}")
    return rules


FORMAT = Format(
    suffix=".safetensors",
    recognises=_recognises,
    read=_read,
    write=_write,
    support=_list_support,
    read_configs=_read_configs,
    make_configs=_make_configs,
    peer=run_timm,
)
