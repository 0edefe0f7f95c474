"""The golden cases as (config, parameters, inputs and outputs), for the model tests.

Enough renaming to hold the modules against each reference, and no more: checkpoints of
these formats are read by the converters, which have tests of their own.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from tests.models.tiny import flat
from vit_jax import models
from vit_jax.config import ModelConfig

GOLDEN = Path(__file__).parent.parent / "golden"
Flat = dict[str, np.ndarray]


class Case(NamedTuple):
    """A golden case in our terms; ``io`` has images, logits and more."""

    config: ModelConfig
    num_classes: int | None
    flat_params: Flat
    io: Flat

    def run(self) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the output and the intermediates of our model."""
        model = models.build_model(self.config, self.num_classes)
        params = traverse_util.unflatten_dict(self.flat_params, sep="/")

        @jax.jit
        def apply(params: Any, images: jax.Array) -> Any:
            variables = {"params": params}
            return model.apply(variables, images, train=False, mutable="intermediates")

        output, state = apply(params, self.io["images"])
        found = flat(state["intermediates"])
        return output, {name: values[0] for name, values in found.items()}


def google(name: str) -> Case:
    """A case of the original; pre-linen names and shapes become linen."""
    meta = _json(f"google_vit/{name}")
    params = _npz(f"google_vit/{meta['checkpoints'][0]['file']}")
    if meta["checkpoints"][0]["naming"] == "prelinen":
        params = {_linen_name(name): value for name, value in params.items()}
    params = {k: v.reshape(-1) if "/gn" in f"/{k}" else v for k, v in params.items()}
    config = google_config(meta["model_config"])
    return Case(config, meta["num_classes"], params, _npz(f"google_vit/{meta['io']}"))


def google_config(fields: dict[str, Any]) -> ModelConfig:
    """The original's `configs/models.py` in our terms."""
    size = tuple(fields["patches"]["size"])
    if "tokens_mlp_dim" in fields:
        return ModelConfig(
            family="mixer",
            patch_size=size,
            hidden_size=fields["hidden_dim"],
            num_layers=fields["num_blocks"],
            mlp_dim=fields["channels_mlp_dim"],
            tokens_mlp_dim=fields["tokens_mlp_dim"],
        )
    resnet = fields.get("resnet")
    return ModelConfig(
        family="hybrid" if resnet else "vit",
        patch_size=size,
        hidden_size=fields["hidden_size"],
        classifier=fields["classifier"],
        representation_size=fields["representation_size"],
        resnet_layers=tuple(resnet["num_layers"]) if resnet else None,
        resnet_width_factor=float(resnet["width_factor"]) if resnet else 1.0,
        **fields["transformer"],
    )


def big_vision(name: str) -> Case:
    """A case of big_vision; stacked blocks are taken apart."""
    meta = _json(f"big_vision/{name}")
    fields = meta["model_config"]
    width, rep = fields["width"], fields["rep_size"]
    config = ModelConfig(
        patch_size=tuple(fields["patch_size"]),
        hidden_size=width,
        num_layers=fields["depth"],
        num_heads=fields["num_heads"],
        mlp_dim=fields["mlp_dim"] or 4 * width,
        classifier={"tok": "token", "gap": "gap", "map": "map"}[fields["pool_type"]],
        posemb={"learn": "learned", "sincos2d": "sincos2d"}[fields["posemb"]],
        posemb_prefix=False,  # the table is added before the class token is
        representation_size=width if rep is True else rep or None,
    )
    params: Flat = {}
    for path, value in _npz(f"big_vision/{meta['checkpoint']}").items():
        if not path.startswith(meta["prefix"]):
            continue
        path = path.removeprefix(meta["prefix"])
        if path == "pos_embedding":
            path = "Transformer/posembed_input/pos_embedding"
        if "/encoderblock/" in path:
            for i, layer in enumerate(value):
                params[path.replace("encoderblock", f"encoderblock_{i}")] = layer
        else:
            params[path] = value
    return Case(config, meta["num_classes"], params, _npz(f"big_vision/{meta['io']}"))


def _linen_name(path: str) -> str:
    for old, new in (
        ("LayerNorm_2", "LayerNorm_1"),
        ("MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0"),
        ("MlpBlock_3", "MlpBlock_0"),
    ):
        path = path.replace(old, new)
    return path


def _json(path: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{path}.json").read_text())


def _npz(path: str) -> Flat:
    with np.load(GOLDEN / path) as arrays:
        return dict(arrays)
