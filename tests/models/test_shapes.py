"""Names and shapes from one traced layer: those of the whole module, and never absurd."""

import dataclasses
import math
import time
from typing import Any

import pytest

from tests.models.tiny import HYBRID, OPTIONS, shapes, tiny
from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.shapes import find_stacked_shapes


@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("num_classes", [5, None])
def test_what_the_module_makes(name: str, num_classes: int | None) -> None:
    config = dataclasses.replace(OPTIONS[name], num_layers=3)
    expected = {k: v.shape for k, v in shapes(config, num_classes).items()}
    assert models.find_shapes(config, num_classes, (24, 24)) == expected


@pytest.mark.parametrize("variant", sorted(models.VARIANTS))
def test_every_variant(variant: str) -> None:
    config = ModelConfig(variant=variant)
    down, across = models.find_token_size(config)
    size = (2 * down, 3 * across)
    expected = {k: v.shape for k, v in shapes(config, 10, (1, *size, 3)).items()}
    got = models.find_shapes(config, 10, size)
    assert got == expected
    assert all(isinstance(side, int) for shape in got.values() for side in shape)


def test_names_are_those_of_a_loop_in_the_order_of_the_layers() -> None:
    config = tiny(num_layers=11)
    names = list(models.find_shapes(config, 5, (24, 24)))
    blocks = [name.split("/")[1] for name in names if "encoderblock" in name]
    assert list(dict.fromkeys(blocks)) == [f"encoderblock_{i}" for i in range(11)]
    assert names[0] == "embedding/kernel"
    assert names[-2:] == ["head/kernel", "head/bias"]
    scanned = dataclasses.replace(config, scan=True, dtype="bfloat16", remat="full")
    assert list(models.find_shapes(scanned, 5, (24, 24))) == names


def test_stacked_as_a_scan_has_them() -> None:
    config = tiny(num_layers=3, scan=True)
    expected = {k: v.shape for k, v in shapes(config).items()}
    assert find_stacked_shapes(config, 5, (24, 24)) == expected


def test_any_image_size_where_no_parameter_depends_on_it() -> None:
    config = tiny(posemb="rope2d")
    expected = models.find_shapes(config, 5, (24, 24))
    assert models.find_shapes(config, 5, None) == expected
    assert models.find_shapes(config, 5, (8 * 10**6, 8 * 10**6)) == expected


@pytest.mark.parametrize(
    ("config", "num_classes", "size", "message"),
    [
        (tiny(num_layers=10**9), 5, 24, "num_layers must be at most 10000"),
        (tiny(hidden_size=2**40), 5, 24, "hidden_size must be at most"),
        (tiny(mlp_dim=2**40), 5, 24, "mlp_dim must be at most"),
        (tiny(patch_size=(8, 2**40)), 5, 24, "patch_size must be at most"),
        (tiny(num_registers=2**40), 5, 24, "num_registers must be at most"),
        (tiny(), 2**60, 24, "num_classes must be at most"),
        (tiny(), 5, 2**30, "the number of patches must be at most"),
        (tiny(posemb="relative"), 5, 2**30, "the number of patches must be at most"),
        (
            tiny(hidden_size=2**20, mlp_dim=2**22, num_layers=9999),
            5,
            24,
            "the number of elements must be at most",
        ),
        (
            tiny(**HYBRID | {"resnet_layers": (10**9,)}),
            5,
            24,
            "the number of ResNet units must be at most",
        ),
        (
            tiny(**HYBRID | {"resnet_layers": (1,) * 60}),
            5,
            24,
            "the number of ResNet stages must be at most",
        ),
    ],
)
def test_absurd_sizes_are_refused_in_a_moment(
    config: ModelConfig, num_classes: int, size: int, message: str
) -> None:
    """As a hostile file may ask for; nothing is traced, or one layer."""
    start = time.process_time()
    with pytest.raises(ConfigError, match=message) as error:
        models.find_shapes(config, num_classes, (size, size))
    assert "\n" not in str(error.value)
    assert time.process_time() - start < 3


def test_the_largest_model_is_no_work() -> None:
    """A trace of one layer, whatever the number of layers is; 2 s is generous."""
    config = ModelConfig(variant="ViT-22B/14")
    start = time.process_time()
    found = models.find_shapes(config, 1000, (224, 224))
    assert time.process_time() - start < 2
    assert sum(map(math.prod, found.values())) == 21_758_467_048


def infer(config: ModelConfig, **given: Any) -> models.Inferred:
    arrays = models.find_shapes(config, 5, (24, 24))
    return models.infer_model(models.Shapes(arrays, "x.npz", torch=False), given)


# What no array of a model says: given by a format, or by its config file.
UNSAID = ("activation", "classifier", "posemb", "layer_norm_epsilon")
RATES = (
    "dropout_rate",
    "attention_dropout_rate",
    "stochastic_depth_rate",
    "stochastic_depth_rescale",
    "head_bias_init",
)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_inferred_from_its_own_arrays(name: str) -> None:
    """Each option's model is found again from names and shapes alone."""
    config = models.resolve_model(OPTIONS[name])
    given = {} if name == "mixer" else {f: getattr(config, f) for f in UNSAID}
    found = infer(config, **given)
    assert found.num_classes == 5
    expected = {f: ModelConfig.__dataclass_fields__[f].default for f in RATES}
    if config.posemb != "learned":
        expected["posemb_prefix"] = True
    same = dataclasses.replace(config, **expected)
    assert models.resolve_model(found.model) == same


def test_families_describe_where_positions_enter() -> None:
    def describe(**fields: Any) -> models.Positions:
        config = models.resolve_model(tiny(**fields))
        return models.find_family(config).describe_positions(config)

    learned = describe(num_registers=2)
    assert (learned.layout, learned.num_prefix) == ("table", 3)
    assert describe(posemb_prefix=False).num_prefix == 0
    rows, columns = describe(posemb="learned2d").arrays
    assert (rows[-4:], columns[-7:]) == ("rows", "columns")
    layouts = {kind: describe(posemb=kind).layout for kind in ("relative", "rope2d")}
    assert layouts == {"relative": "fixed", "rope2d": "free"}
    mixer = models.resolve_model(OPTIONS["mixer"])
    assert models.find_family(mixer).describe_positions(mixer).layout == "fixed"
    for option in OPTIONS.values():
        config = models.resolve_model(option)
        family = models.find_family(config)
        arrays = family.describe_positions(config).arrays
        assert {*arrays, family.patches.name} <= set(
            models.find_shapes(config, 5, (24, 24))
        )


def test_prefix_and_class_token() -> None:
    assert models.count_prefix(tiny(num_registers=4)) == 5
    assert models.has_class_token(tiny())
    assert not models.has_class_token(tiny(classifier="gap", num_registers=2))
    assert models.count_prefix(OPTIONS["mixer"]) == 0
    assert not models.has_class_token(OPTIONS["mixer"])
