"""Hugging Face transformers' state dicts: ViT, DeiT, DINOv2, and the towers of SigLIP
and CLIP; as safetensors (or .bin).
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.checkpoints import trees
from vit_jax.checkpoints.formats.assemble import assemble_torch
from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.google import add_class_row
from vit_jax.checkpoints.formats.huggingface_config import (
    make_huggingface_config,
    make_preprocessor_config,
    read_huggingface_config,
)
from vit_jax.checkpoints.formats.huggingface_peer import run_transformers
from vit_jax.checkpoints.formats.huggingface_rules import ARCHITECTURES, HEADS
from vit_jax.checkpoints.formats.huggingface_support import (
    choose_architecture,
    find_huggingface_problems,
    get_huggingface_support,
)
from vit_jax.checkpoints.formats.metadata import Metadata, read_json_file
from vit_jax.checkpoints.formats.timm import add_register_rows
from vit_jax.checkpoints.formats.torch_rules import map_dense
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.errors import ConfigError
from vit_jax.models import POSITION, count_layers

# Features that the heads of these see, and none of ours does.
_OTHER_FEATURES = {
    "dinov2": "class token and mean patch at once",
    "siglip": "the mean patch, not what its pooling makes",
    "clip": "the mean patch, before the last norm",
}
_POSITIONS = "embeddings.position_embeddings"
_PREFIX = re.compile(r"(vit|deit|dinov2(_with_registers)?|vision_model)\.")


def _find_architecture(names: Collection[str]) -> str | None:
    """Returns which of ARCHITECTURES has these names, or None."""
    for kind, architecture in ARCHITECTURES.items():
        if architecture.recognises(names):
            return kind
    return None


def _read(tensors: Mapping[str, Lazy], metadata: Metadata, what: str) -> Checkpoint:
    """Returns the checkpoint of one of the ARCHITECTURES."""
    kind = _find_architecture(tensors) or "vit"
    architecture = ARCHITECTURES[kind]
    tower: dict[str, Lazy] = {}
    notes = []
    for name, tensor in tensors.items():
        short = _PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name
        if re.fullmatch(architecture.ignored, short):
            continue
        tower[short if short not in tower else name] = tensor
    if kind in _OTHER_FEATURES and "classifier.weight" in tower:
        tower.pop("classifier.weight")
        tower.pop("classifier.bias", None)
        notes.append(f"its head is left out: it sees {_OTHER_FEATURES[kind]}")
    if "pooler.dense.weight" in tower:
        notes.append("its pooler is taken for the tanh pre-logits, which it computes")
    if kind == "clip" and "visual_projection.weight" in tensors:
        notes.append("the projection to the common space is left out")
    if "embeddings.register_tokens" in tower and _POSITIONS in tower:
        tower[_POSITIONS] = add_register_rows(
            tower[_POSITIONS], tower["embeddings.register_tokens"]
        )
    num_layers = count_layers(tower, architecture.layer, what)
    rules = [*trees.expand_rules(architecture.table, num_layers), *HEADS]
    metadata = metadata.complete({"posemb_prefix": True}, *notes)
    return assemble_torch("huggingface", tower, rules, metadata, what)


def _write(checkpoint: Checkpoint) -> dict[str, Lazy]:
    """Returns the arrays under the names that transformers writes to disk.

    Raises:
        MismatchError: transformers has no place for one.
    """
    model = checkpoint.model
    kind = choose_architecture(model)
    architecture = ARCHITECTURES[kind]
    rules = trees.expand_rules(architecture.table, model.num_layers or 0)
    if model.activation == "swiglu":  # its MLP has other names
        rules = [rule for rule in rules if ".mlp.fc" not in rule.theirs]
    if checkpoint.num_classes is not None:
        rules = [r._replace(theirs=architecture.prefix + r.theirs) for r in rules]
    first = "cls_classifier" if model.distillation_token else "classifier"
    rules += [
        *map_dense(first, "head"),
        *map_dense("distillation_classifier", "head_dist"),
    ]
    full = add_class_row(checkpoint.tensors, model)
    if model.num_registers:
        full[POSITION] = _without_register_rows(full[POSITION], model.num_registers)
    return trees.convert_to(full, rules, f"transformers' {kind}")


def _without_register_rows(table: Lazy, count: int) -> Lazy:
    """Returns the table without the rows of registers, which DINOv2 does not have."""

    def remove_rows(x: np.ndarray) -> np.ndarray:
        if np.any(x[:, 1 : 1 + count]):
            raise ConfigError(
                "positions of registers must be zero in transformers' DINOv2, got "
                "others; write timm's format"
            )
        return np.concatenate([x[:, :1], x[:, 1 + count :]], axis=1)

    return table.map(remove_rows, (1, table.shape[1] - count, table.shape[2]))


def _read_configs(folder: Path, names: Collection[str]) -> Metadata:
    return read_huggingface_config(
        read_json_file(folder / "config.json"),
        read_json_file(folder / "preprocessor_config.json"),
        _find_architecture(names) or "vit",
    )


def _make_configs(checkpoint: Checkpoint) -> dict[str, Any]:
    kind = choose_architecture(checkpoint.model)
    tables = {"config.json": make_huggingface_config(checkpoint, kind)}
    if checkpoint.preprocessing:
        made = make_preprocessor_config(checkpoint.preprocessing)
        tables["preprocessor_config.json"] = made
    return tables


FORMAT = Format(
    suffix=".safetensors",
    recognises=lambda names: _find_architecture(names) is not None,
    read=_read,
    write=_write,
    support=get_huggingface_support,
    find_problems=find_huggingface_problems,
    read_configs=_read_configs,
    make_configs=_make_configs,
    peer=run_transformers,
)
