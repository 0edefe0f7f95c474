"""Every field of `ModelConfig` is covered: read, refused elsewhere, and tested."""

import dataclasses
from typing import Any

import jax
import pytest

from tests.models.tiny import IMAGES, OPTIONS
from vit_jax import models
from vit_jax.checkpoints.formats import support
from vit_jax.config import PLAIN, ModelConfig, choices

FIELDS = {field.name: field for field in dataclasses.fields(ModelConfig)}
# Which variant or family it is; everything else is a model's own.
NAMES = {"variant", "family"}
# How it is computed: tests/models/test_layers.py, test_attention.py and test_vit.py.
COMPUTATION = {*PLAIN, "dtype"}


_read: set[str] = set()


class Recorder(ModelConfig):
    """A config that notes which of its fields are read, by any part of the model."""

    __hash__, __eq__ = object.__hash__, object.__eq__  # which would read them all

    def __getattribute__(self, name: str) -> Any:
        if name in FIELDS:
            _read.add(name)
        return super().__getattribute__(name)


def find_read_fields(config: ModelConfig) -> set[str]:
    """Returns the fields that the module of a config reads when it is traced."""
    config = models.resolve_model(config)
    recorder = Recorder(**{name: getattr(config, name) for name in FIELDS})
    model = models.find_family(config).module(recorder, 5)
    _read.clear()

    def run(key: jax.Array) -> Any:
        rngs = {"params": key, "dropout": key}
        return model.init(rngs, jax.numpy.zeros(IMAGES), train=True)

    jax.eval_shape(run, jax.random.key(0))
    return set(_read)


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_family_has_the_fields_that_it_reads(family: str) -> None:
    """No field is accepted and ignored, and none is read that would be refused."""
    options = [c for c in OPTIONS.values() if models.resolve_model(c).family == family]
    if family == "hybrid":  # reads what a ViT reads, and the fields of its ResNet
        hybrid = OPTIONS["hybrid"]
        resnet = {n: getattr(hybrid, n) for n in ("resnet_layers", "patch_size")}
        resnet |= {"family": "hybrid", "resnet_width_factor": 0.5}
        options += [
            dataclasses.replace(c, **resnet)
            for c in OPTIONS.values()
            if models.resolve_model(c).family == "vit"
        ]
    read = set().union(*map(find_read_fields, options))
    assert read - NAMES == models.FAMILIES.resolve(family).fields - NAMES


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_field_of_another_family_is_refused_by_name(family: str) -> None:
    option = {"vit": "plain"}.get(family, family)
    others = set(FIELDS) - models.FAMILIES.resolve(family).fields - NAMES
    for name in others:
        changed = dataclasses.replace(OPTIONS[option], **{name: _another(name)})
        with pytest.raises(ValueError, match=rf"config\.model\.{name} must be"):
            models.resolve_model(changed)


def _another(name: str) -> Any:
    """Returns a value of a field that some option has and that is not the default."""
    if name == "attention":
        return "cudnn"
    values = [getattr(config, name) for config in OPTIONS.values()]
    return next(value for value in values if value != FIELDS[name].default)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - NAMES - COMPUTATION))
def test_some_option_sets_the_field(name: str) -> None:
    """So that axes, shapes and FLOPs are tested with it; see `tiny.OPTIONS`."""
    assert _another(name) != FIELDS[name].default


def test_no_format_writes_a_field_away_in_silence() -> None:
    """A format holds a field by name, or the field must have its default there."""
    model = models.resolve_model(OPTIONS["plain"])
    for name, form in ((n, choices.FORMATS.resolve(n)) for n in choices.FORMATS):
        held = form.support(model)
        assert set(held) <= {*FIELDS, "num_classes"}, name
        for field in set(FIELDS) - set(held) - support.WITHOUT_EFFECT:
            changed = dataclasses.replace(model, **{field: object()})
            assert field in support.find_unsupported(held, changed, 5), (name, field)
