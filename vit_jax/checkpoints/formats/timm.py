"""timm's state dict, as safetensors (or .pth): VisionTransformer, hybrids, MlpMixer.

The names of DeiT's and DINOv2's own files are nearly the same, and are read too.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np

from vit_jax.checkpoints import trees
from vit_jax.checkpoints.formats import assemble
from vit_jax.checkpoints.formats.facts import Facts
from vit_jax.checkpoints.formats.torch_rules import (
    ATTENTION,
    BLOCK,
    MAP,
    MAP_ATTENTION,
    QKV,
    conv,
    dense,
    heads,
    mlp,
    norm,
    out,
    same,
)
from vit_jax.checkpoints.layout import POSITION
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.checkpoints.trees import Rule
from vit_jax.config import ModelConfig

_VIT = (
    *conv("patch_embed.proj", "embedding"),
    *same("cls_token", "cls"),
    *same("dist_token", "dist"),
    *same("reg_token", "registers"),
    *same("register_tokens", "registers"),  # DINOv2's own name
    *same("pos_embed", POSITION),
    *norm("norm_pre", "Transformer/pre_norm"),
    *norm("blocks.{i}.norm1", f"{BLOCK}/LayerNorm_0"),
    *heads("blocks.{i}.attn.qkv", ATTENTION, QKV),
    *norm("blocks.{i}.attn.q_norm", f"{ATTENTION}/query_ln"),
    *norm("blocks.{i}.attn.k_norm", f"{ATTENTION}/key_ln"),
    *out("blocks.{i}.attn.proj", ATTENTION),
    *same("blocks.{i}.ls1.gamma", f"{BLOCK}/LayerScale_0/scale"),
    *norm("blocks.{i}.norm2", f"{BLOCK}/LayerNorm_1"),
    *mlp("blocks.{i}.mlp", BLOCK),
    *mlp("blocks.{i}.mlp", BLOCK, "w12", "w3"),  # DINOv2's own name
    *same("blocks.{i}.ls2.gamma", f"{BLOCK}/LayerScale_1/scale"),
    *norm("norm", "Transformer/encoder_norm"),
    *same("attn_pool.latent", f"{MAP}/probe"),
    *heads("attn_pool.q", MAP_ATTENTION, ("query",)),
    *heads("attn_pool.kv", MAP_ATTENTION, ("key", "value")),
    *out("attn_pool.proj", MAP_ATTENTION),
    *norm("attn_pool.norm", f"{MAP}/LayerNorm_0"),
    *mlp("attn_pool.mlp", MAP),
    *norm("fc_norm", "fc_norm"),
    *dense("pre_logits.fc", "pre_logits"),  # read alone: timm has dropped it
    *dense("head", "head"),
    *dense("head_dist", "head_dist"),
)
_MIXER = (
    *conv("stem.proj", "stem"),
    *norm("blocks.{i}.norm1", "MixerBlock_{i}/LayerNorm_0"),
    *dense("blocks.{i}.mlp_tokens.fc1", "MixerBlock_{i}/token_mixing/Dense_0"),
    *dense("blocks.{i}.mlp_tokens.fc2", "MixerBlock_{i}/token_mixing/Dense_1"),
    *norm("blocks.{i}.norm2", "MixerBlock_{i}/LayerNorm_1"),
    *dense("blocks.{i}.mlp_channels.fc1", "MixerBlock_{i}/channel_mixing/Dense_0"),
    *dense("blocks.{i}.mlp_channels.fc2", "MixerBlock_{i}/channel_mixing/Dense_1"),
    *norm("norm", "pre_head_layer_norm"),
    *dense("head", "head"),
)
_UNIT = re.compile(r"patch_embed\.backbone\.stages\.(\d{1,3})\.blocks\.(\d{1,3})\.")
# Only for training.
_IGNORED = ("mask_token",)


def recognises(names: Collection[str]) -> bool:
    return "blocks.0.norm1.weight" in names


def read(tensors: Mapping[str, Lazy], facts: Facts, what: str) -> Checkpoint:
    """Returns the checkpoint; nothing is read yet.

    Args:
        tensors: the state dict.
        facts: what is known beside it; see `timm_config`.
        what: the file, for messages.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    tensors = {k: v for k, v in tensors.items() if k not in _IGNORED}
    num_layers = trees.count_layers(tensors, r"blocks\.(\d+)\.", what)
    is_mixer = "stem.proj.weight" in tensors
    units = {(int(m[1]), int(m[2])) for name in tensors if (m := _UNIT.match(name))}
    rules = trees.expand(_MIXER if is_mixer else _VIT, num_layers)
    rules += _resnet(units)
    if "register_tokens" in tensors and "pos_embed" in tensors:
        tensors["pos_embed"] = with_register_rows(
            tensors["pos_embed"], tensors["register_tokens"]
        )
        facts = facts.completed({"posemb_prefix": True})
    return assemble.from_torch("timm", tensors, rules, facts, what)


def write(tree: Mapping[str, Lazy], model: ModelConfig) -> dict[str, Lazy]:
    """Returns the arrays under timm's names.

    Raises:
        MismatchError: timm has no place for one.
    """
    table = _MIXER if model.family == "mixer" else _VIT
    units = {
        (stage, unit)
        for stage, num_units in enumerate(model.resnet_layers or ())
        for unit in range(num_units)
    }
    rules = [*trees.expand(table, model.num_layers or 0), *_resnet(units)]
    return trees.convert_to(tree, rules, "timm")


def with_register_rows(table: Lazy, registers: Lazy) -> Lazy:
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


def _resnet(units: Collection[tuple[int, int]]) -> list[Rule]:
    """Returns the rules of a hybrid's ResNet; it has no stages where it is the root."""
    root = "patch_embed.backbone.stem" if units else "patch_embed.backbone"
    rules = [*conv(f"{root}.conv", "conv_root"), *norm(f"{root}.norm", "gn_root")]
    for stage, unit in sorted(units):
        theirs = f"patch_embed.backbone.stages.{stage}.blocks.{unit}"
        ours = f"block{stage + 1}/unit{unit + 1}"
        rules += conv(f"{theirs}.downsample.conv", f"{ours}/conv_proj")
        rules += norm(f"{theirs}.downsample.norm", f"{ours}/gn_proj")
        for i in (1, 2, 3):
            rules += conv(f"{theirs}.conv{i}", f"{ours}/conv{i}")
            rules += norm(f"{theirs}.norm{i}", f"{ours}/gn{i}")
    return rules
