"""The table of published weights: what it says is counted from the models."""

import dataclasses
import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.config.choices import INTERPOLATIONS
from vit_jax.models.flops import count_multiply_adds
from vit_jax.weights import locations
from vit_jax.weights.class_names import CLASS_SETS
from vit_jax.weights.published import DEFAULTS, UNRELEASED, WEIGHTS, conventions
from vit_jax.weights.published.catalog import RELEASES
from vit_jax.weights.record import PublishedWeights


@functools.cache
def num_params(config: ModelConfig, num_classes: int | None, size: int) -> int:
    """Counts the model with one layer and with two; the others are like the second."""
    config = models.resolve_model(config)
    assert config.num_layers

    def count(num_layers: int) -> int:
        shallow = dataclasses.replace(config, num_layers=num_layers)
        init = functools.partial(
            models.build_model(shallow, num_classes).init, train=False
        )
        shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, size, size, 3)))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))

    return count(1) + (config.num_layers - 1) * (count(2) - count(1))


def unique(rows: list[PublishedWeights]) -> dict[str, PublishedWeights]:
    """One row of each model, for the slow part."""
    found = {(row.model, row.num_classes, row.image_size): row for row in rows}
    return {row.name: row for row in found.values()}


@pytest.mark.parametrize("name", unique(list(WEIGHTS.values())))
def test_parameters_and_gflops_are_those_of_the_model(name: str) -> None:
    row = WEIGHTS[name]
    assert row.model
    assert row.image_size
    models.check_image_size(row.model, row.image_size)
    count = num_params(row.model, row.num_classes, row.image_size[0])
    gflops = count_multiply_adds(row.model, row.num_classes, row.image_size) / 1e9
    same = [
        other
        for other in WEIGHTS.values()
        if (other.model, other.num_classes, other.image_size)
        == (row.model, row.num_classes, row.image_size)
    ]
    assert {other.params for other in same} == {count}
    assert all(other.gflops == pytest.approx(gflops, rel=1e-3) for other in same)


# Millions with the head, as timm's model cards and results-imagenet.csv print them.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("timm/vit_base_patch16_224.augreg_in21k_ft_in1k", 86.57),
        ("timm/vit_large_r50_s32_384.augreg_in21k_ft_in1k", 329.09),
        ("imagenet21k+imagenet2012/R50+ViT-B_16", 98.95),
        ("imagenet1k/Mixer-L_16", 208.20),
        ("deit/ViT-Ti_16-224-distilled", 5.91),
        ("deit/ViT-B_16-384-distilled", 87.63),
        ("deit3/ViT-M_16-224", 38.85),
        ("deit3/ViT-H_14-224-in21k", 632.13),
        ("dinov2/ViT-L_14-reg4", 304.37),
        ("dinov2/ViT-g_14", 1136.48),
        ("siglip/ViT-B_16-224", 92.88),
    ],
)
def test_printed_parameters(name: str, millions: float) -> None:
    assert (WEIGHTS[name].params or 0) / 1e6 == pytest.approx(millions, abs=0.006)


def test_every_row_is_whole() -> None:
    for name, row in WEIGHTS.items():
        assert row.name == name
        assert row.locations, name
        assert row.license == "Apache-2.0"
        assert row.paper
        assert row.preprocessing
        assert row.preprocessing.interpolation in INTERPOLATIONS
        assert row.num_classes == (CLASS_SETS[row.classes] if row.classes else None)
        assert (row.top1 is None) == (row.top1_source is None), name
        assert row.top1 is None or 60 < row.top1 < 90
        assert len({location.url for location in row.locations}) == len(row.locations)
        for location in row.locations:
            assert location.url.startswith(("gs://", "hf://"))
            assert locations.make_url(location).startswith("https://")
            assert set(location.lacks) <= {"head", "pre_logits"}


def test_every_release_adds_names_of_its_own() -> None:
    """And each row has a cost, each cost a row."""
    names = [[row.name for row in release.list_rows()] for release in RELEASES]
    assert [set(each) for each in names] == [set(release.COSTS) for release in RELEASES]
    assert [len(each) for each in names] == [18, 30, 13, 9, 4, 3, 24, 8, 21]
    assert len(WEIGHTS) == 130 == sum(map(len, names))
    folder = Path(conventions.__file__).parent
    files = {path.stem for path in folder.glob("*.py")}
    others = {"__init__", "catalog", "conventions", "defaults"}
    assert files - others == {r.__name__.rpartition(".")[2] for r in RELEASES}


def test_no_file_is_published_twice() -> None:
    urls = [location.url for row in WEIGHTS.values() for location in row.locations]
    assert len(urls) == len(set(urls))


def test_preprocessing_is_that_of_each_release() -> None:
    for name, row in WEIGHTS.items():
        p = row.preprocessing
        assert p
        statistics = name.startswith(("deit", "dinov2"))
        assert (p.std != (1.0, 1.0, 1.0)) == statistics
        assert p.value_range == ((0.0, 1.0) if statistics else (-1.0, 1.0))


def test_what_a_file_cannot_say_is_said() -> None:
    for name, row in WEIGHTS.items():
        assert row.model
        by_torch = name.startswith(("deit", "dinov2")) or "augreg2" in name
        assert (row.model.activation != "gelu_tanh") == by_torch, name


def test_a_model_stands_for_weights_of_that_model_that_can_be_had() -> None:
    for variant, name in DEFAULTS.items():
        row = WEIGHTS[name]
        assert row.model
        assert row.model.variant == variant
        assert any(location.url.startswith("hf://") for location in row.locations)
    of_the_table = {row.model.variant for row in WEIGHTS.values() if row.model}
    # DINOv2's g is another; SAM's Mixer lies in the closed bucket alone.
    assert of_the_table - set(DEFAULTS) == {"ViT-g/14", "Mixer-B/32"}
    assert set(UNRELEASED) <= set(models.VARIANTS)
    assert not set(UNRELEASED) & set(DEFAULTS)
