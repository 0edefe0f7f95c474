"""What Hugging Face transformers calls the arrays of each of its architectures."""

import re
from collections.abc import Collection
from typing import NamedTuple

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
from vit_jax.checkpoints.trees import Rule
from vit_jax.models import POSITION

_LAYER = "encoder.layer.{i}"
_EMBEDDINGS = (
    *map_conv("embeddings.patch_embeddings.projection", "embedding"),
    *map_same("embeddings.cls_token", "cls"),
    *map_same("embeddings.distillation_token", "dist"),
    *map_same("embeddings.register_tokens", "registers"),
    *map_same("embeddings.position_embeddings", POSITION),
    *map_norm("layernorm", "Transformer/encoder_norm"),
)
_ATTENTION = (
    *(
        rule
        for name in QKV
        for rule in map_heads(
            f"{_LAYER}.attention.attention.{name}", ATTENTION, (name,)
        )
    ),
    *map_out(f"{_LAYER}.attention.output.dense", ATTENTION),
)
# ViT and DeiT.
_VIT = (
    *_EMBEDDINGS,
    *_ATTENTION,
    *map_norm(f"{_LAYER}.layernorm_before", f"{BLOCK}/LayerNorm_0"),
    *map_norm(f"{_LAYER}.layernorm_after", f"{BLOCK}/LayerNorm_1"),
    *map_dense(f"{_LAYER}.intermediate.dense", f"{BLOCK}/MlpBlock_0/Dense_0"),
    *map_dense(f"{_LAYER}.output.dense", f"{BLOCK}/MlpBlock_0/Dense_1"),
    # tanh(dense(class token)): what the original calls pre_logits.
    *map_dense("pooler.dense", "pre_logits"),
)
# What transformers 5 calls the same arrays in memory. Its files keep the old names.
_ATTENTION_5 = (
    *(
        rule
        for layer in ("layers.{i}", _LAYER)
        for name in QKV
        for rule in map_heads(f"{layer}.attention.{name[0]}_proj", ATTENTION, (name,))
    ),
    *map_out("layers.{i}.attention.o_proj", ATTENTION),
    *map_out(f"{_LAYER}.attention.o_proj", ATTENTION),
)
_VIT_5 = (
    *_ATTENTION_5,
    *map_norm("layers.{i}.layernorm_before", f"{BLOCK}/LayerNorm_0"),
    *map_norm("layers.{i}.layernorm_after", f"{BLOCK}/LayerNorm_1"),
    *map_mlp("layers.{i}.mlp", BLOCK),
)
_DINOV2 = (
    *_EMBEDDINGS,
    *_ATTENTION,
    *map_norm(f"{_LAYER}.norm1", f"{BLOCK}/LayerNorm_0"),
    *map_same(f"{_LAYER}.layer_scale1.lambda1", f"{BLOCK}/LayerScale_0/scale"),
    *map_norm(f"{_LAYER}.norm2", f"{BLOCK}/LayerNorm_1"),
    *map_mlp(f"{_LAYER}.mlp", BLOCK),
    *map_mlp(f"{_LAYER}.mlp", BLOCK, "weights_in", "weights_out"),
    *map_same(f"{_LAYER}.layer_scale2.lambda1", f"{BLOCK}/LayerScale_1/scale"),
    *_ATTENTION_5,
)
_TOWER = "encoder.layers.{i}"
# The vision towers of SigLIP and CLIP.
_TWO_TOWERS = (
    *map_conv("embeddings.patch_embedding", "embedding"),
    Rule("embeddings.position_embedding.weight", (POSITION,), "n d -> 1 n d"),
    Rule("embeddings.class_embedding", ("cls",), "d -> 1 1 d"),
    *map_norm("pre_layrnorm", "Transformer/pre_norm"),  # their spelling
    *map_norm(f"{_TOWER}.layer_norm1", f"{BLOCK}/LayerNorm_0"),
    *map_norm(f"{_TOWER}.layer_norm2", f"{BLOCK}/LayerNorm_1"),
    *(
        rule
        for name in QKV
        for rule in map_heads(f"{_TOWER}.self_attn.{name[0]}_proj", ATTENTION, (name,))
    ),
    *map_out(f"{_TOWER}.self_attn.out_proj", ATTENTION),
    *map_mlp(f"{_TOWER}.mlp", BLOCK),
    *map_norm("post_layernorm", "Transformer/encoder_norm"),
    *map_same("head.probe", f"{MAP}/probe"),
    *map_heads("head.attention.in_proj", MAP_ATTENTION, QKV, "_weight", "_bias"),
    *map_out("head.attention.out_proj", MAP_ATTENTION),
    *map_norm("head.layernorm", f"{MAP}/LayerNorm_0"),
    *map_mlp("head.mlp", MAP),
)
HEADS = (
    *map_dense("classifier", "head"),
    *map_dense("cls_classifier", "head"),
    *map_dense("distillation_classifier", "head_dist"),
)


class Architecture(NamedTuple):
    """One of their architectures.

    Attributes:
        table: the rules of the tower, without its prefix.
        sign: a regular expression; a name that matches is this architecture's.
        layer: what captures a layer's number.
        prefix: under which the model with a head keeps the tower.
        ignored: what is not of the tower.
    """

    table: tuple[Rule, ...]
    sign: str
    layer: str
    prefix: str
    ignored: str

    def recognises(self, names: Collection[str]) -> bool:
        """Returns whether these are its names."""
        return any(re.fullmatch(self.sign, name) for name in names)


ARCHITECTURES = {
    "siglip": Architecture(
        _TWO_TOWERS,
        r"(vision_model\.)?head\.probe",
        r"encoder\.layers\.(\d+)\.",
        "vision_model.",
        r"text_model\..*|logit_(scale|bias)|.*position_ids",
    ),
    "clip": Architecture(
        _TWO_TOWERS,
        r"(vision_model\.)?embeddings\.class_embedding",
        r"encoder\.layers\.(\d+)\.",
        "vision_model.",
        r"text_model\..*|(text|visual)_projection\..*|logit_scale|.*position_ids",
    ),
    "dinov2": Architecture(
        _DINOV2,
        r"(dinov2(_with_registers)?\.)?encoder\.layer\.0\.layer_scale1\.lambda1",
        r"encoder\.layer\.(\d+)\.",
        "dinov2.",
        r"embeddings\.mask_token",
    ),
    "deit": Architecture(
        (*_VIT, *_VIT_5),
        r"(deit\.)?embeddings\.distillation_token",
        r"(?:encoder\.layer|layers)\.(\d+)\.",
        "deit.",
        r"embeddings\.mask_token",
    ),
    "vit": Architecture(
        (*_VIT, *_VIT_5),
        r"(vit\.)?(encoder\.layer|layers)\.0\.layernorm_before\.weight",
        r"(?:encoder\.layer|layers)\.(\d+)\.",
        "vit.",
        r"embeddings\.mask_token",
    ),
}
