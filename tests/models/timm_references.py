"""timm's golden cases in our terms; see `references`."""

import json
import re
from typing import Any

import numpy as np

from tests.models.references import GOLDEN, Case, Flat
from vit_jax.config import ModelConfig

_CLASSIFIERS = {"token": "token", "avg": "gap", "map": "map"}
_ACTIVATIONS = {"gelu (erf)": "gelu", "quick_gelu": "quick_gelu", "silu": "swiglu"}
_RENAMES = (
    (r"^patch_embed\.proj\.", "embedding/"),
    (r"^pos_embed$", "Transformer/posembed_input/pos_embedding"),
    (r"^cls_token$", "cls"),
    (r"^dist_token$", "dist"),
    (r"^reg_token$", "registers"),
    (r"^norm_pre\.", "Transformer/pre_norm/"),
    (r"^norm\.", "Transformer/encoder_norm/"),
    (r"^fc_norm\.", "fc_norm/"),
    (r"^head\.", "head/"),
    (r"^head_dist\.", "head_dist/"),
    (r"^attn_pool\.latent$", "MAPHead_0/probe"),
    (r"^attn_pool\.norm\.", "MAPHead_0/LayerNorm_0/"),
    (r"^attn_pool\.mlp\.", "MAPHead_0/mlp."),
    (r"^attn_pool\.", "MAPHead_0/attn."),
    (r"^blocks\.(\d+)\.", r"Transformer/encoderblock_\1/"),
    (r"norm1\.", "LayerNorm_0/"),
    (r"norm2\.", "LayerNorm_1/"),
    (r"ls1\.gamma", "LayerScale_0/scale"),
    (r"ls2\.gamma", "LayerScale_1/scale"),
    (r"mlp\.fc1\.", "MlpBlock_0/Dense_0/"),
    (r"mlp\.fc2\.", "MlpBlock_0/Dense_1/"),
    (r"attn\.", "MultiHeadDotProductAttention_0/"),
    (r"q_norm\.", "query_ln/"),
    (r"k_norm\.", "key_ln/"),
    (r"/proj\.", "/out/"),
    (r"/q\.", "/query/"),
)


def timm(name: str) -> Case:
    """A case of timm's VisionTransformer."""
    folder = GOLDEN / "timm"
    meta = json.loads((folder / f"{name}.json").read_text())
    state = read_safetensors((folder / meta["checkpoint"]).read_bytes())
    with np.load(folder / meta["io"]) as arrays:
        io = dict(arrays)
    config = _config(meta, state)
    flat: Flat = {}
    for path, value in state.items():
        for pattern, new in _RENAMES:
            path = re.sub(pattern, new, path)
        flat |= _split(path, value)
    heads = meta["constructor"]["num_heads"]
    return Case(
        config,
        meta["constructor"]["num_classes"],
        dict(to_flax(path, value, heads) for path, value in flat.items()),
        io,
    )


def read_safetensors(data: bytes) -> Flat:
    """The format: a length, that much JSON, the arrays one after the other."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data[end:][slice(*entry["data_offsets"])], dtype=np.float32
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _config(meta: dict[str, Any], state: Flat) -> ModelConfig:
    arguments = meta["constructor"]
    return ModelConfig(
        patch_size=tuple(arguments["patch_size"]),
        hidden_size=arguments["embed_dim"],
        num_layers=arguments["depth"],
        num_heads=arguments["num_heads"],
        mlp_dim=state["blocks.0.mlp.fc2.weight"].shape[1],
        classifier=_CLASSIFIERS[arguments.get("global_pool", "token")],
        activation=_ACTIVATIONS[meta["mlp_activation"]],
        layer_norm_epsilon=meta["layer_norm_eps"][0],
        patch_bias="patch_embed.proj.bias" in state,
        posemb_prefix=not arguments.get("no_embed_class", False),
        num_registers=arguments.get("reg_tokens", 0),
        distillation_token="dist_token" in state,
        pre_norm=arguments.get("pre_norm", False),
        fc_norm=arguments.get("fc_norm", False),
        qk_norm=arguments.get("qk_norm", False),
        layer_scale_init=arguments.get("init_values"),
    )


def _split(path: str, value: np.ndarray) -> Flat:
    """Takes packed projections apart."""
    for packed, names in (("qkv", ("query", "key", "value")), ("kv", ("key", "value"))):
        if f"/{packed}." in path:
            parts = np.split(value, len(names))
            return {
                path.replace(f"{packed}.", f"{name}/"): part
                for name, part in zip(names, parts, strict=True)
            }
    return {path: value}


def to_flax(path: str, value: np.ndarray, heads: int) -> tuple[str, np.ndarray]:
    """Turns a weight round, and cuts it into heads."""
    parent, _, kind = path.rpartition("/")
    if kind == "bias" and parent.endswith(("query", "key", "value")):
        return path, value.reshape(heads, -1)
    if kind != "weight":
        return path, value
    if value.ndim == 1:
        return f"{parent}/scale", value
    value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    if parent.endswith(("query", "key", "value")):
        value = value.reshape(len(value), heads, -1)
    elif parent.endswith("out"):
        value = value.reshape(heads, -1, value.shape[-1])
    return f"{parent}/kernel", value
