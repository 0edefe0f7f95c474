"""A checkpoint made to fit a format: what to leave out, and what it cannot hold."""

import dataclasses
from collections.abc import Collection
from typing import Any

from vit_jax.checkpoints.formats.format import Format
from vit_jax.checkpoints.formats.support import find_unsupported, get_values
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError, check_choice

# What --drop may name, and which parameters that means.
DROPPABLE = {
    "pre_logits": ("pre_logits/",),
    "head": ("head/", "head_dist/"),
    "activation": (),
    "layer_norm_epsilon": (),
}
_DROP_NAMES = {"representation_size": "pre_logits", "num_classes": "head"}
_GATED = "swiglu"  # its gate is half of the weights: no other activation has them


def restrict_to_format(
    checkpoint: Checkpoint, file_format: str, drop: Collection[str] = ()
) -> Checkpoint:
    """Returns the checkpoint without what is to be dropped, if the format can hold it.

    Args:
        checkpoint: of any format.
        file_format: a row of `config.choices.FORMATS`.
        drop: names of `DROPPABLE`.

    Raises:
        ConfigError: naming every field that the format cannot hold.
    """
    for name in drop:
        check_choice("--drop", name, DROPPABLE)
    chosen: Format = FORMATS.resolve(file_format)
    kept = _drop(checkpoint, chosen, drop)
    problems = find_unsupported(
        chosen.support(kept.model), kept.model, kept.num_classes
    )
    problems = _rename(problems | chosen.find_problems(kept))
    if _loses_pre_logits(checkpoint, kept, problems):
        problems["head"] = "without the pre-logits that it was trained on, it is no use"
    if problems:
        listed = "; ".join(f"{name} ({problem})" for name, problem in problems.items())
        advice = _advise(problems, checkpoint.model.activation)
        raise ConfigError(f"{file_format} cannot hold {listed}; {advice}")
    return kept


def _drop(checkpoint: Checkpoint, chosen: Format, drop: Collection[str]) -> Checkpoint:
    gone = tuple(prefix for name in drop for prefix in DROPPABLE[name])
    tensors = {
        name: tensor
        for name, tensor in checkpoint.tensors.items()
        if not gone or not name.startswith(gone)
    }
    model = checkpoint.model
    if "pre_logits" in drop:
        model = dataclasses.replace(model, representation_size=None)
    fields: dict[str, Any] = {}
    for name in ("activation", "layer_norm_epsilon"):
        value, allowed = getattr(model, name), get_values(chosen.support(model), name)
        if name in drop and value != _GATED and value not in allowed:
            fields[name] = next(iter(allowed))
    return dataclasses.replace(
        checkpoint,
        tensors=tensors,
        model=dataclasses.replace(model, **fields),
        num_classes=None if "head" in drop else checkpoint.num_classes,
    )


def _rename(problems: dict[str, str]) -> dict[str, str]:
    """Returns the problems under the names that ``--drop`` has for them."""
    return {_DROP_NAMES.get(name, name): text for name, text in problems.items()}


def _loses_pre_logits(
    checkpoint: Checkpoint, kept: Checkpoint, problems: Collection[str]
) -> bool:
    """Returns whether a head would be written without what it was trained on."""
    if not checkpoint.model.representation_size or kept.num_classes is None:
        return False
    return not kept.model.representation_size or "pre_logits" in problems


def _advise(problems: Collection[str], activation: str) -> str:
    can_drop = [name for name in problems if name in DROPPABLE]
    if activation == _GATED and "activation" in can_drop:
        can_drop.remove("activation")
    if len(can_drop) < len(problems):
        return "write another format"
    flags = " ".join(f"--drop={name}" for name in can_drop)
    return f"leave it out with {flags}, or write another format"
