"""What a format can hold of a model: every field of it by name, or not at all."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from vit_jax.config import RUN_FIELDS, ModelConfig

# Field of ModelConfig -> the values that a format can mean, the usual one first; or
# ANY. A field that is left out must have its default, so that one which a format does
# not know is never written away in silence. ``num_classes`` may stand among them.
Support = Mapping[str, Collection[Any]]


class _Any(tuple[Any, ...]):
    """Contains every value."""

    def __contains__(self, value: object) -> bool:
        return True


ANY = _Any()
# Every format has these in its arrays' shapes, or in a config file beside them.
SIZES: Support = dict.fromkeys(
    ("patch_size", "hidden_size", "num_layers", "num_heads", "mlp_dim"), ANY
)
# What a model computes does not depend on these, so that no format needs to hold them.
WITHOUT_EFFECT = frozenset({*RUN_FIELDS, "variant"})


def get_values(support: Support, field: str) -> Collection[Any]:
    """Returns the values of a model's field that can be held; of others, the default."""
    if field in support:
        return support[field]
    fields = {f.name: f for f in dataclasses.fields(ModelConfig)}
    return (fields[field].default,)


def find_unsupported(
    support: Support, model: ModelConfig, num_classes: int | None
) -> dict[str, str]:
    """Returns field -> what is wrong with it, for what cannot be held."""
    values = {
        field.name: (
            getattr(model, field.name),
            support.get(field.name, (field.default,)),
        )
        for field in dataclasses.fields(model)
        if field.name not in WITHOUT_EFFECT
    }
    values["num_classes"] = (num_classes, support.get("num_classes", ANY))
    return {
        name: f"it is {value}, and must be {' or '.join(map(str, allowed))}"
        for name, (value, allowed) in values.items()
        if value not in allowed
    }
