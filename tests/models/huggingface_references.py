"""Hugging Face's golden case in our terms; see `references`."""

import json
import re

import numpy as np

from tests.models.references import GOLDEN, Case
from tests.models.timm_references import read_safetensors, to_flax
from vit_jax.config import ModelConfig

_RENAMES = (
    (r"^vit\.embeddings\.cls_token$", "cls"),
    (
        r"^vit\.embeddings\.position_embeddings$",
        "Transformer/posembed_input/pos_embedding",
    ),
    (r"^vit\.embeddings\.patch_embeddings\.projection\.", "embedding/"),
    (r"^vit\.layernorm\.", "Transformer/encoder_norm/"),
    (r"^vit\.encoder\.layer\.(\d+)\.", r"Transformer/encoderblock_\1/"),
    (r"layernorm_before\.", "LayerNorm_0/"),
    (r"layernorm_after\.", "LayerNorm_1/"),
    (r"attention\.attention\.(\w+)\.", r"MultiHeadDotProductAttention_0/\1/"),
    (r"attention\.output\.dense\.", "MultiHeadDotProductAttention_0/out/"),
    (r"intermediate\.dense\.", "MlpBlock_0/Dense_0/"),
    (r"output\.dense\.", "MlpBlock_0/Dense_1/"),
    (r"^classifier\.", "head/"),
)


def huggingface() -> Case:
    """ViTForImageClassification as `save_pretrained` writes it."""
    folder = GOLDEN / "huggingface"
    meta = json.loads((folder / "vit.json").read_text())["config"]
    with np.load(folder / "vit.io.npz") as arrays:
        io = dict(arrays)
    config = ModelConfig(
        patch_size=(meta["patch_size"], meta["patch_size"]),
        hidden_size=meta["hidden_size"],
        num_layers=meta["num_hidden_layers"],
        num_heads=meta["num_attention_heads"],
        mlp_dim=meta["intermediate_size"],
        activation=meta["hidden_act"],
        layer_norm_epsilon=meta["layer_norm_eps"],
    )
    params = {}
    for path, value in read_safetensors(
        (folder / "vit.safetensors").read_bytes()
    ).items():
        for pattern, new in _RENAMES:
            path = re.sub(pattern, new, path)
        path, value = to_flax(path, value, meta["num_attention_heads"])
        params[path] = value
    return Case(config, len(meta["id2label"]), params, io)
