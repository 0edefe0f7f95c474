"""What a format does not name, it does not write: field by field."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints.test_adapt import checkpoint_of
from tests.models.tiny import OPTIONS, tiny
from vit_jax import checkpoints, models
from vit_jax.checkpoints.files.safetensors import read_safetensors, write_safetensors
from vit_jax.checkpoints.formats.support import WITHOUT_EFFECT, find_unsupported
from vit_jax.checkpoints.load import load
from vit_jax.config import ModelConfig
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError

FIELDS = {field.name: field for field in dataclasses.fields(ModelConfig)}
BASE = models.resolve_model(tiny())


def support_of(file_format: str, model: ModelConfig) -> Any:
    return FORMATS.resolve(file_format).support(model)


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_field_is_held_or_refused_by_name(file_format: str) -> None:
    """Each option's own table counts: transformers chooses one by the model."""
    for config in OPTIONS.values():
        support = support_of(file_format, models.resolve_model(config))
        assert support.keys() <= {*FIELDS, "num_classes"}
        for name in FIELDS.keys() - support.keys() - WITHOUT_EFFECT:
            model: Any = dataclasses.replace(BASE, **{name: "another"})  # pyright: ignore
            problems = find_unsupported(support, model, None)
            default = FIELDS[name].default
            assert problems[name] == f"it is another, and must be {default}"


def test_every_field_is_held_by_some_format_or_by_a_run_alone() -> None:
    """A new field is added here, or to a format, or named as one without effect."""
    held = set[str]().union(
        *(
            support_of(file_format, models.resolve_model(config))
            for file_format in FORMATS
            for config in OPTIONS.values()
        )
    )
    assert FIELDS.keys() == (held - {"num_classes"}) | WITHOUT_EFFECT


def test_what_has_no_effect_is_refused_by_no_format() -> None:
    other: Any = {"variant": "ViT-B/16", "dtype": "bfloat16", "scan": True,
                  "remat": "full", "attention": "cudnn", "head_bias_init": -1.0,
                  "dropout_rate": 0.1, "attention_dropout_rate": 0.1,
                  "stochastic_depth_rate": 0.1, "stochastic_depth_rescale": False}  # fmt: skip
    assert other.keys() == WITHOUT_EFFECT
    for file_format in FORMATS:
        problems = [
            find_unsupported(support_of(file_format, model), model, None).keys()
            for model in (BASE, dataclasses.replace(BASE, **other))
        ]
        assert problems[0] == problems[1]


@pytest.mark.parametrize(
    ("file_format", "config", "expected"),
    [
        ("timm", {"model_args": {"act_layer": "relu"}}, 'act_layer .*got "relu"'),
        ("timm", {"model_args": {"global_pool": "avgmax"}}, 'pool .*got "avgmax"'),
        ("huggingface", {"hidden_act": "silu"}, 'hidden_act .*got "silu"'),
    ],
)
def test_a_value_that_no_table_knows_is_refused_by_name(
    file_format: str, config: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """It does not become the default."""
    source = checkpoint_of(tiny(activation="gelu"))
    checkpoints.write_checkpoint(tmp_path, file_format, source)
    tensors, _ = read_safetensors(tmp_path / "model.safetensors")
    write_safetensors(tmp_path / "x", tensors, {})  # without our own metadata
    (tmp_path / "x").replace(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=expected):
        checkpoints.open_checkpoint(tmp_path)


@pytest.mark.parametrize("file_format", ["timm", "huggingface"])
def test_what_the_head_means_is_kept(file_format: str, tmp_path: Path) -> None:
    source = dataclasses.replace(checkpoint_of(tiny(activation="gelu")), loss="sigmoid")
    checkpoints.write_checkpoint(tmp_path, file_format, source)
    assert checkpoints.open_checkpoint(tmp_path).loss == "sigmoid"
    lines = checkpoints.convert_file(
        "x", tmp_path / "x.npz", "google", drop=["activation"], checkpoint=source
    )
    assert any("trained with sigmoid" in line for line in lines)
    assert checkpoints.open_checkpoint(tmp_path / "x.npz").loss == "softmax"


def test_a_loss_that_another_process_registered_is_read_and_noted(
    tmp_path: Path,
) -> None:
    source = dataclasses.replace(checkpoint_of(tiny(activation="gelu")), loss="focal")
    checkpoints.write_checkpoint(tmp_path, "timm", source)
    loaded = load(tmp_path)
    assert loaded.loss == "focal"
    assert any("probabilities are taken by softmax" in note for note in loaded.notes)


def test_another_computation_of_the_same_arrays_is_noted() -> None:
    source = checkpoint_of(tiny(posemb="rope2d"))
    fitted = checkpoints.fit_checkpoint(source, tiny(posemb="sincos2d"))
    assert "its posemb is rope2d, the model's sincos2d" in fitted.notes


@dataclasses.dataclass(frozen=True)
class Extended(ModelConfig):
    """A model with an option that no format has heard of."""

    out_norm: bool = False


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_option_that_no_format_names_is_refused(
    file_format: str, tmp_path: Path
) -> None:
    config = OPTIONS["map"] if file_format == "big_vision" else OPTIONS["plain"]
    source = checkpoint_of(config)
    with_option: Any = Extended(**vars(source.model), out_norm=True)
    source = dataclasses.replace(source, model=with_option)
    path = tmp_path / f"x{FORMATS.resolve(file_format).suffix}"
    expected = rf"{file_format} cannot hold out_norm \(it is True, and must be False\)"
    with pytest.raises(ConfigError, match=expected):
        checkpoints.write_checkpoint(path, file_format, source)
    assert not path.exists()
    without = dataclasses.replace(with_option, out_norm=False)
    source = dataclasses.replace(source, model=without)
    checkpoints.write_checkpoint(path, file_format, source)
