"""Exact parameter counts of every published model, and the papers' rounded ones."""

import gzip
import json
import math

import pytest

from tests.models.references import GOLDEN, google_config
from tests.models.tiny import shapes
from vit_jax import models
from vit_jax.config import ModelConfig
from vit_jax.weights.published.augreg import AUGREG_VARIANTS

# With 1000 classes at 224 pixels, token classifier. Those in the inventories of the
# original are compared by every name and shape besides.
NUM_PARAMS = {
    "ViT-Ti/16": 5_717_416,
    "ViT-S/8": 22_055_272,
    "ViT-S/14": 22_004_584,
    "ViT-S/16": 22_050_664,
    "ViT-S/32": 22_878_952,
    "ViT-M/16": 38_837_736,
    "ViT-B/8": 86_576_872,
    "ViT-B/14": 86_475_496,
    "ViT-B/16": 86_567_656,
    "ViT-B/32": 88_224_232,
    "ViT-L/14": 304_203_752,
    "ViT-L/16": 304_326_632,
    "ViT-L/32": 306_535_400,
    "ViT-H/14": 632_045_800,
    "ViT-So400m/14": 413_597_656,
    "ViT-So400m/16": 413_735_896,
    "ViT-g/14": 1_012_611_432,
    "ViT-G/14": 1_844_440_680,
    "ViT-e/14": 3_807_214_312,
    "ViT-22B/14": 21_758_467_048,
    "R50+ViT-B/16": 98_659_112,
    "R+ViT-Ti/16": 6_337_704,
    "R26+ViT-S/32": 36_431_912,
    "R26+ViT-B/32": 101_383_976,
    "R50+ViT-L/32": 328_994_856,
    "Mixer-S/16": 18_528_264,
    "Mixer-S/32": 19_104_624,
    "Mixer-B/16": 59_880_472,
    "Mixer-B/32": 60_293_428,
    "Mixer-L/16": 208_196_168,
    "Mixer-L/32": 206_939_264,
    "Mixer-H/14": 432_350_952,
}
IMAGE = (1, 224, 224, 3)
INVENTORY = json.loads(
    gzip.decompress((GOLDEN / "inventory/vit_jax_params.json.gz").read_bytes())
)["models"]


def count(config: ModelConfig, num_classes: int | None) -> int:
    return sum(math.prod(s.shape) for s in shapes(config, num_classes, IMAGE).values())


def by_formula(name: str, num_classes: int) -> int:
    """The count from the papers' dimensions, independent of the modules."""
    row = models.VARIANTS[name]
    assert row.patch_size
    assert row.hidden_size
    assert row.num_layers
    assert row.mlp_dim
    patch, d, m = row.patch_size[0], row.hidden_size, row.mlp_dim
    n = (224 // patch) ** 2
    patches = 3 * patch**2 * d + d
    norm = 2 * d
    head = d * num_classes + num_classes

    def mlp(width: int, hidden: int) -> int:
        return 2 * width * hidden + width + hidden

    if row.tokens_mlp_dim:
        layer = mlp(n, row.tokens_mlp_dim) + mlp(d, m) + 2 * norm
        return patches + row.num_layers * layer + norm + head
    attention = 4 * (d * d + d)
    layer = attention + mlp(d, m) + 2 * norm
    return patches + d + (n + 1) * d + row.num_layers * layer + norm + head


def test_every_variant_has_a_count() -> None:
    assert list(NUM_PARAMS) == list(models.VARIANTS)


@pytest.mark.parametrize("name", NUM_PARAMS)
def test_count(name: str) -> None:
    assert count(ModelConfig(variant=name), 1000) == NUM_PARAMS[name]
    if models.VARIANTS[name].family != "hybrid":
        assert by_formula(name, 1000) == NUM_PARAMS[name]


@pytest.mark.parametrize("name", [n for n in INVENTORY if not n.startswith("LiT")])
def test_names_and_shapes_of_the_original(name: str) -> None:
    variant = name.replace("_", "/").removesuffix("-gap-norep")
    fields = INVENTORY[name]["config"]
    if variant in models.VARIANTS:
        config = ModelConfig(
            variant=variant, classifier=fields.get("classifier", "token")
        )
    else:
        config = google_config(fields)
    expected = INVENTORY[name]["num_classes_1000"]
    got = shapes(config, 1000, IMAGE)
    assert {k: [list(v.shape), str(v.dtype)] for k, v in got.items()} == expected[
        "params"
    ]
    assert sum(math.prod(v.shape) for v in got.values()) == expected["total"]


def test_totals_of_the_original() -> None:
    """Those that the test above compares; another number of classes adds to the head."""
    listed = json.loads((GOLDEN / "inventory/vit_jax_totals.json").read_text())
    assert listed["totals"].keys() == INVENTORY.keys()
    for name in (n for n in INVENTORY if not n.startswith("LiT")):
        smaller = INVENTORY[name]["num_classes_1000"]
        (width, _), _ = smaller["params"]["head/kernel"]
        assert listed["totals"][name] == {
            "1000": smaller["total"],
            "21843": smaller["total"] + (21843 - 1000) * (width + 1),
        }
    for name, model in listed["augreg_names"].items():
        if name in AUGREG_VARIANTS:
            assert AUGREG_VARIANTS[name] == model.replace("_", "/")


def test_count_of_21843_classes() -> None:
    expected = INVENTORY["ViT-B_16"]["num_classes_21843"]["total"]
    assert count(ModelConfig(variant="ViT-B/16"), 21843) == expected


# Millions without a head, as the papers print them. ViT: arXiv:2106.04560, and
# arXiv:2305.13035 (So400m, with its MAP head); Mixer: arXiv:2105.01601, table 1.
@pytest.mark.parametrize(
    ("name", "classifier", "millions"),
    [
        ("ViT-B/16", "gap", 86),
        ("ViT-L/16", "gap", 303),
        ("ViT-So400m/14", "map", 428),
        ("ViT-g/14", "gap", 1011),
        ("ViT-G/14", "gap", 1843),
        ("Mixer-S/32", "token", 19),
        ("Mixer-S/16", "token", 18),
        ("Mixer-B/32", "token", 60),
        ("Mixer-B/16", "token", 59),
        ("Mixer-L/32", "token", 206),
        ("Mixer-L/16", "token", 207),
        ("Mixer-H/14", "token", 431),
    ],
)
def test_printed_count(name: str, classifier: str, millions: int) -> None:
    config = ModelConfig(variant=name, classifier=classifier)
    assert round(count(config, None) / 1e6) == millions


def test_printed_count_of_the_largest() -> None:
    """PaLI prints 3.9 B for e, ViT-22B 21,743 M: the matrices of its blocks."""
    e = ModelConfig(variant="ViT-e/14", classifier="map")
    assert round(count(e, None) / 1e9, 1) == 3.9
    shape = shapes(ModelConfig(variant="ViT-22B/14"), None, IMAGE)
    matrices = [
        math.prod(s.shape)
        for path, s in shape.items()
        if "encoderblock" in path and path.endswith("kernel")
    ]
    assert round(sum(matrices) / 1e6) == 21743
