"""Hugging Face transformers' state dicts: ViT, DeiT, DINOv2, and the towers of SigLIP
and CLIP; as safetensors (or .bin).
"""

import re
from collections.abc import Collection, Mapping

import numpy as np

from vit_jax.checkpoints import trees
from vit_jax.checkpoints.formats import assemble
from vit_jax.checkpoints.formats.facts import Facts
from vit_jax.checkpoints.formats.google import with_class_row
from vit_jax.checkpoints.formats.huggingface_rules import ARCHITECTURES, HEADS
from vit_jax.checkpoints.formats.timm import with_register_rows
from vit_jax.checkpoints.formats.torch_rules import dense
from vit_jax.checkpoints.layout import POSITION
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError

# What the heads of these see, and none of ours does.
_OTHER_FEATURES = {
    "dinov2": "class token and mean patch at once",
    "siglip": "the mean patch, not what its pooling makes",
    "clip": "the mean patch, before the last norm",
}
_POSITIONS = "embeddings.position_embeddings"
_PREFIX = re.compile(r"(vit|deit|dinov2(_with_registers)?|vision_model)\.")


def recognises(names: Collection[str]) -> str | None:
    """Returns which of ARCHITECTURES it is, or None."""
    for architecture, (_, sign, *_rest) in ARCHITECTURES.items():
        if any(re.fullmatch(sign, name) for name in names):
            return architecture
    return None


def read(tensors: Mapping[str, Lazy], facts: Facts, what: str) -> Checkpoint:
    """Returns the checkpoint; nothing is read yet.

    Raises:
        ConfigError: the arrays are not those of one model.
    """
    kind = recognises(tensors) or "vit"
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
        tower[_POSITIONS] = with_register_rows(
            tower[_POSITIONS], tower["embeddings.register_tokens"]
        )
    num_layers = trees.count_layers(tower, architecture.layer, what)
    rules = [*trees.expand(architecture.table, num_layers), *HEADS]
    facts = facts.completed({"posemb_prefix": True}, *notes)
    return assemble.from_torch("huggingface", tower, rules, facts, what)


def architecture_of(model: ModelConfig) -> str:
    """Returns which of ARCHITECTURES can hold a model."""
    if model.classifier == "map":
        return "siglip"
    if model.layer_scale_init is not None:
        return "dinov2"
    if model.pre_norm:
        return "clip"
    return "deit" if model.distillation_token else "vit"


def write(
    tree: Mapping[str, Lazy], model: ModelConfig, num_classes: int | None
) -> dict[str, Lazy]:
    """Returns the arrays under the names that transformers writes to disk.

    Raises:
        MismatchError: transformers has no place for one.
    """
    kind = architecture_of(model)
    architecture = ARCHITECTURES[kind]
    rules = trees.expand(architecture.table, model.num_layers or 0)
    if model.activation == "swiglu":  # its MLP has other names
        rules = [rule for rule in rules if ".mlp.fc" not in rule.theirs]
    if num_classes is not None:
        rules = [r._replace(theirs=architecture.prefix + r.theirs) for r in rules]
    first = "cls_classifier" if model.distillation_token else "classifier"
    rules += [*dense(first, "head"), *dense("distillation_classifier", "head_dist")]
    full = with_class_row(tree, model)
    if model.num_registers:
        full[POSITION] = _without_register_rows(full[POSITION], model.num_registers)
    return trees.convert_to(full, rules, f"transformers' {kind}")


def _without_register_rows(table: Lazy, count: int) -> Lazy:
    """Returns the table without the rows of registers, which DINOv2 has not."""

    def cut(x: np.ndarray) -> np.ndarray:
        if np.any(x[:, 1 : 1 + count]):
            raise ConfigError(
                "positions of registers must be zero in transformers' DINOv2, got "
                "others; write timm's format"
            )
        return np.concatenate([x[:, :1], x[:, 1 + count :]], axis=1)

    return table.map(cut, (1, table.shape[1] - count, table.shape[2]))
