"""From what people type to weights."""

import json

import pytest

from vit_jax import weights
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("imagenet21k/ViT-B_16", "imagenet21k/ViT-B_16"),
        ("imagenet21k/ViT-B_16.npz", "imagenet21k/ViT-B_16"),
        ("gs://vit_models/imagenet21k/ViT-B_16.npz", "imagenet21k/ViT-B_16"),
        (
            "https://storage.googleapis.com/vit_models/sam/ViT-B_16.npz",
            "sam/ViT-B_16",
        ),
        ("ViT-B/16", "augreg/B_16"),
        ("ViT-B_16", "augreg/B_16"),
        ("B_16", "augreg/B_16"),
        ("vit_base_patch16_224.augreg_in21k", "augreg/B_16"),
        ("timm/vit_base_patch16_224.augreg_in21k", "augreg/B_16"),
        (
            "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0",
            "augreg/B_16",
        ),
        (
            "google/vit-base-patch16-224",
            "imagenet21k+imagenet2012/ViT-B_16-224",
        ),
        ("facebook/deit-base-distilled-patch16-384", "deit/ViT-B_16-384-distilled"),
        ("vit_base_patch14_reg4_dinov2.lvd142m", "dinov2/ViT-B_14-reg4"),
        ("facebook/dinov2-large", "dinov2/ViT-L_14"),
        ("Mixer-L/16", "imagenet21k/Mixer-L_16"),
    ],
)
def test_what_people_type(typed: str, name: str) -> None:
    assert weights.describe_published(typed).name == name


def test_every_name_and_place_leads_back() -> None:
    for name in weights.list_names():
        row = weights.describe_published(name)
        assert row.name == name
        for location in row.locations:
            assert weights.describe_published(location.url).name == name


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("imagenet21k/ViT-B16", 'did you mean "imagenet21k/ViT-B_16"'),
        ("dinov2/vit-b_14", 'did you mean "dinov2/ViT-B_14"'),
        ("VIT-B/16", 'did you mean "ViT-B/16"'),
        ("xyz", '"xyz"; `vit-jax models` lists the names'),
    ],
)
def test_an_unknown_name(typed: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        weights.describe_published(typed)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["ViT-G/14", "ViT-22B_14", "ViT-g/14"])
def test_weights_that_were_never_released(name: str) -> None:
    with pytest.raises(ConfigError, match=r"never released.*dinov2/ViT-g_14-reg4"):
        weights.describe_published(name)


@pytest.mark.parametrize("url", ["ftp://a/b", "https://host", "hf://timm/model"])
def test_a_url_of_the_wrong_form(url: str) -> None:
    with pytest.raises(ConfigError, match="must be"):
        weights.describe_published(url)


def test_any_of_augregs_files() -> None:
    stem = "R26_S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.1-do_0.0-sd_0.0"
    info = weights.describe_published(
        f"{stem}--oxford_iiit_pet-steps_0k-lr_0.003-res_384.npz"
    )
    assert info.model == ModelConfig(variant="R26+ViT-S/32")
    assert info.image_size == (384, 384)
    assert (info.classes, info.num_classes, info.params) == (None, None, None)
    info = weights.describe_published(stem.replace("light1", "none"))
    assert (info.classes, info.num_classes) == ("imagenet21k", 21_843)
    assert info.params == weights.describe_published("R26_S_32").params
    assert info.locations[0].url.startswith("gs://vit_models/augreg/R26_S_32-i21k")


def test_find() -> None:
    assert weights.find_weights("dinov2/*reg4") == tuple(
        f"dinov2/ViT-{size}_14-reg4" for size in "SBLg"
    )
    assert "sam/ViT-B_16" in weights.find_weights("b/16")
    assert "timm/vit_base_patch8_224.augreg_in21k" in weights.find_weights("ViT-B/8")
    assert weights.find_weights("nothing") == ()


def test_the_table_is_json() -> None:
    rows = weights.describe_table()
    assert json.loads(json.dumps(rows)) == json.loads(json.dumps(rows))
    assert [row["name"] for row in rows] == list(weights.list_names())
    row = next(row for row in rows if row["name"] == "deit/ViT-B_16-224-distilled")
    assert row["model"] == {
        "variant": "ViT-B/16",
        "activation": "gelu",
        "distillation_token": True,
    }
    assert row["places"][0] == {
        "url": "https://huggingface.co/timm/deit_base_distilled_patch16_224.fb_in1k"
        "/resolve/main/model.safetensors",
        "lacks": [],
    }
    with pytest.raises(ConfigError, match='must match "nothing"'):
        weights.describe_table("nothing")


def test_the_table_as_text() -> None:
    header, *lines = weights.format_table("dinov2")
    assert header.split() == [
        "name", "params", "GFLOPs", "size", "top-1", "classes", "locations",
    ]  # fmt: skip
    assert len(lines) == 8
    assert lines[2].split() == [
        "dinov2/ViT-B_14", "86.6", "M", "151.6", "518", "84.5", "Hub",
    ]  # fmt: skip


def test_a_description() -> None:
    text = "\n".join(weights.describe_weights("imagenet21k/ViT-B_16"))
    for expected in (
        "variant=ViT-B/16 representation_size=768",
        "103,186,515",
        "21,843 (imagenet21k)",
        "values -1 to 1",
        "(without head, pre_logits)",
        "https://arxiv.org/abs/2010.11929",
    ):
        assert expected in text
    assert "mean (0.485" in "\n".join(weights.describe_weights("deit/ViT-B_16-224"))
    assert "none: features" in "\n".join(weights.describe_weights("dinov2/ViT-B_14"))
    assert len(weights.describe_weights("gs://a/b.npz")) == 2
