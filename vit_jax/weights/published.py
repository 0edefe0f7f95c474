"""Published weights: what they are, and where their files lie. Plain data.

Each fact stands once, with its source above the block. A fact that no public source
states is None. ``weights`` looks things up here and fetches them.

Where a number comes from:
  params, gflops: counted from the model (``COSTS``, held by a test), with the head.
    GFLOPs are 1e9 multiply-adds per image; see ``flops``.
  top1: percent on ImageNet-1k's validation set, as published; ``top1_source`` says by
    whom, and how if it is not plain classification.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from vit_jax.config import ModelConfig, PerChannel, Preprocessing


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a file lies.

    Attributes:
        url: ``gs://BUCKET/PATH``, ``hf://OWNER/NAME[@REVISION]/FILE`` or https.
        lacks: what this file leaves out of the weights: ``head``, ``pre_logits``.
        size: in bytes, where known.
        sha256: of the file, in hexadecimal, where known.
    """

    url: str
    lacks: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """One set of weights. What is not known is None.

    Attributes:
        name: what `weights.fetch` takes.
        places: in the order in which they are tried; the same weights everywhere.
        model: the variant, and what a file may not say: activation, epsilon, ...
        num_classes: of the head; None: there is no head.
        params: number of parameters, with the head.
        gflops: 1e9 multiply-adds for one image of ``image_size``.
        top1: percent on ImageNet-1k.
        top1_source: who measured it, and how.
        license: SPDX name.
        preprocessing: with which the weights are used. ``top1`` was measured with it
            too, unless ``top1_source`` says otherwise.
        classes: the name of the set for `class_names`; None: none that we know.
        trained_on: data set, and what it was fine-tuned on.
        paper: arXiv number.
        note: what else one should know.
    """

    name: str
    places: tuple[Place, ...]
    model: ModelConfig | None = None
    num_classes: int | None = None
    params: int | None = None
    gflops: float | None = None
    top1: float | None = None
    top1_source: str | None = None
    license: str | None = None
    preprocessing: Preprocessing | None = None
    classes: str | None = None
    trained_on: str | None = None
    paper: str | None = None
    note: str | None = None

    @property
    def image_size(self) -> tuple[int, int] | None:
        return self.preprocessing.image_size if self.preprocessing else None


_README = "google-research/vision_transformer README"
_TIMM = "timm results-imagenet.csv, bicubic, crop "
_IMAGENET_MEAN: PerChannel = (0.485, 0.456, 0.406)
_IMAGENET_STD: PerChannel = (0.229, 0.224, 0.225)
_APACHE = "Apache-2.0"
_CLASSES_21K: dict[str, Any] = {"classes": "imagenet21k", "num_classes": 21_843}
_CLASSES_1K: dict[str, Any] = {"classes": "imagenet1k", "num_classes": 1_000}


def _gs(path: str, lacks: tuple[str, ...] = ()) -> Place:
    return Place(f"gs://{path}.npz", lacks)


def _hub(repo: str, lacks: tuple[str, ...] = (), file: str = "model") -> Place:
    file = file if "." in file else f"{file}.safetensors"
    return Place(f"hf://{repo}/{file}", lacks)


def _google(size: int) -> Preprocessing:
    """The original's evaluation: the whole image, two by two neighbours, [-1, 1]."""
    return Preprocessing((size, size))


def _big_vision(size: int) -> Preprocessing:
    """``resize_small(256)|central_crop(224)|value_range(-1, 1)``; area by default."""
    return Preprocessing((size, size), "center", 0.875, "area")


def _torch(size: int, fraction: float, imagenet_statistics: bool) -> Preprocessing:
    """torchvision's evaluation, bicubic."""
    square = (size, size)
    if not imagenet_statistics:
        return Preprocessing(square, "center", fraction, "bicubic")
    return Preprocessing(
        square,
        "center",
        fraction,
        "bicubic",
        (0.0, 1.0),
        _IMAGENET_MEAN,
        _IMAGENET_STD,
    )


# AugReg ------------------------------------------------------------------------------
# File names: the original's README (the table of recommended checkpoints) and timm's
# configurations, which name both the bucket's file and the repository on the Hub.
# No AugReg file has a representation layer (391 MiB for B/16 with 21,843 classes).

AUGREG_VARIANTS = {
    "Ti_16": "ViT-Ti/16",
    "S_32": "ViT-S/32",
    "S_16": "ViT-S/16",
    "B_32": "ViT-B/32",
    "B_16": "ViT-B/16",
    "B_8": "ViT-B/8",
    "L_16": "ViT-L/16",
    "R_Ti_16": "R+ViT-Ti/16",
    "R26_S_32": "R26+ViT-S/32",
    "R26_B_32": "R26+ViT-B/32",
    "R50_L_32": "R50+ViT-L/32",
}

# model, recipe, learning rate of the fine-tuning at 384, its top-1 (README), and timm's
# repositories where they hold the very same run.
_RECOMMENDED = (
    ("Ti_16", "aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 78.22,
     "vit_tiny_patch16_224.augreg_in21k", "vit_tiny_patch16_384.augreg_in21k_ft_in1k"),
    ("S_32", "aug_none-wd_0.1-do_0.0-sd_0.0", "0.01", 79.58, None, None),
    ("S_16", "aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 83.73,
     "vit_small_patch16_224.augreg_in21k", "vit_small_patch16_384.augreg_in21k_ft_in1k"),
    ("B_32", "aug_light1-wd_0.1-do_0.0-sd_0.0", "0.01", 83.59, None, None),
    ("B_16", "aug_medium1-wd_0.1-do_0.0-sd_0.0", "0.03", 85.49,
     "vit_base_patch16_224.augreg_in21k", None),
    ("L_16", "aug_strong1-wd_0.1-do_0.0-sd_0.0", "0.01", 85.59, None, None),
    ("R_Ti_16", "aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 75.40,
     "vit_tiny_r_s16_p8_224.augreg_in21k",
     "vit_tiny_r_s16_p8_384.augreg_in21k_ft_in1k"),
    ("R26_S_32", "aug_light1-wd_0.1-do_0.0-sd_0.0", "0.01", 83.85, None, None),
    ("R50_L_32", "aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01", 85.99, None, None),
)  # fmt: skip

# Other runs that timm chose: repository, model, recipe.
_TIMM_21K = (
    ("vit_small_patch32_224", "S_32", "aug_light1-wd_0.03-do_0.0-sd_0.0"),
    ("vit_base_patch32_224", "B_32", "aug_medium1-wd_0.03-do_0.0-sd_0.0"),
    ("vit_base_patch8_224", "B_8", "aug_medium1-wd_0.1-do_0.0-sd_0.0"),
    ("vit_large_patch16_224", "L_16", "aug_medium1-wd_0.1-do_0.1-sd_0.1"),
    ("vit_small_r26_s32_224", "R26_S_32", "aug_medium2-wd_0.03-do_0.0-sd_0.0"),
    ("vit_large_r50_s32_224", "R50_L_32", "aug_medium2-wd_0.1-do_0.0-sd_0.0"),
)
# Repository, model, data of pre-training, recipe, learning rate and size of the
# fine-tuning, top-1 by timm.
_TIMM_1K = (
    ("vit_tiny_patch16_224", "Ti_16", "i21k", "aug_none-wd_0.03-do_0.0-sd_0.0",
     "0.03", 224, 75.454),
    ("vit_small_patch32_224", "S_32", "i21k", "aug_light1-wd_0.03-do_0.0-sd_0.0",
     "0.03", 224, 75.994),
    ("vit_small_patch32_384", "S_32", "i21k", "aug_light1-wd_0.03-do_0.0-sd_0.0",
     "0.03", 384, 80.486),
    ("vit_small_patch16_224", "S_16", "i21k", "aug_light1-wd_0.03-do_0.0-sd_0.0",
     "0.03", 224, 81.384),
    ("vit_base_patch32_224", "B_32", "i21k", "aug_medium1-wd_0.03-do_0.0-sd_0.0",
     "0.03", 224, 80.716),
    ("vit_base_patch32_384", "B_32", "i21k", "aug_light1-wd_0.1-do_0.0-sd_0.0",
     "0.03", 384, 83.350),
    ("vit_base_patch16_224", "B_16", "i21k", "aug_medium1-wd_0.1-do_0.0-sd_0.0",
     "0.01", 224, 84.532),
    ("vit_base_patch16_384", "B_16", "i21k", "aug_medium1-wd_0.1-do_0.0-sd_0.0",
     "0.01", 384, 85.996),
    ("vit_base_patch8_224", "B_8", "i21k", "aug_medium1-wd_0.1-do_0.0-sd_0.0",
     "0.01", 224, 85.798),
    ("vit_large_patch16_224", "L_16", "i21k", "aug_medium1-wd_0.1-do_0.1-sd_0.1",
     "0.01", 224, 85.834),
    ("vit_large_patch16_384", "L_16", "i21k", "aug_medium1-wd_0.1-do_0.1-sd_0.1",
     "0.01", 384, 87.084),
    ("vit_tiny_r_s16_p8_224", "R_Ti_16", "i21k", "aug_none-wd_0.03-do_0.0-sd_0.0",
     "0.03", 224, 71.798),
    ("vit_small_r26_s32_224", "R26_S_32", "i21k", "aug_light0-wd_0.03-do_0.1-sd_0.1",
     "0.03", 224, 81.864),
    ("vit_small_r26_s32_384", "R26_S_32", "i21k", "aug_medium2-wd_0.03-do_0.0-sd_0.0",
     "0.03", 384, 84.048),
    ("vit_large_r50_s32_224", "R50_L_32", "i21k", "aug_medium1-wd_0.1-do_0.1-sd_0.1",
     "0.01", 224, 84.422),
    ("vit_large_r50_s32_384", "R50_L_32", "i21k", "aug_medium2-wd_0.1-do_0.0-sd_0.0",
     "0.01", 384, 86.182),
    ("vit_small_patch16_224", "S_16", "i1k", "aug_medium2-wd_0.1-do_0.0-sd_0.0",
     "0.01", 224, 78.846),
    ("vit_small_patch16_384", "S_16", "i1k", "aug_medium2-wd_0.1-do_0.0-sd_0.0",
     "0.01", 384, 81.116),
    ("vit_base_patch32_224", "B_32", "i1k", "aug_medium2-wd_0.1-do_0.1-sd_0.1",
     "0.01", 224, 74.894),
    ("vit_base_patch32_384", "B_32", "i1k", "aug_medium2-wd_0.1-do_0.1-sd_0.1",
     "0.01", 384, 78.752),
    ("vit_base_patch16_224", "B_16", "i1k", "aug_strong2-wd_0.1-do_0.1-sd_0.1",
     "0.01", 224, 79.154),
    ("vit_base_patch16_384", "B_16", "i1k", "aug_strong2-wd_0.1-do_0.1-sd_0.1",
     "0.01", 384, 81.102),
)  # fmt: skip


def _augreg_facts(model: str, upstream: str = "i21k", **facts: Any) -> dict[str, Any]:
    data = {"i21k": "ImageNet-21k", "i1k": "ImageNet-1k"}[upstream]
    fine_tuned = facts["classes"] == "imagenet1k" and upstream == "i21k"
    return {
        "model": ModelConfig(variant=AUGREG_VARIANTS[model]),
        "trained_on": f"{data}, then ImageNet-1k" if fine_tuned else data,
        "paper": "2106.10270",
        "license": _APACHE,
        **facts,
    }


def _augreg() -> Iterator[PublishedWeights]:
    for model, recipe, rate, top1, timm_21k, timm_1k in _RECOMMENDED:
        file = f"vit_models/augreg/{model}-i21k-300ep-lr_0.001-{recipe}"
        yield PublishedWeights(
            f"augreg/{model}",
            (_gs(file), *_timm(timm_21k)),
            preprocessing=_google(224),
            **_augreg_facts(model, **_CLASSES_21K),
        )
        file += f"--imagenet2012-steps_20k-lr_{rate}-res_384"
        yield PublishedWeights(
            f"augreg/{model}-384",
            (_gs(file), *_timm(timm_1k)),
            preprocessing=_google(384),
            top1=top1,
            top1_source=_README,
            **_augreg_facts(model, **_CLASSES_1K),
        )
    for repo, model, recipe in _TIMM_21K:
        file = f"vit_models/augreg/{model}-i21k-300ep-lr_0.001-{recipe}"
        yield PublishedWeights(
            f"timm/{repo}.augreg_in21k",
            (_gs(file), *_timm(f"{repo}.augreg_in21k")),
            preprocessing=_google(224),
            **_augreg_facts(model, **_CLASSES_21K),
        )
    for repo, model, upstream, recipe, rate, size, top1 in _TIMM_1K:
        file = f"vit_models/augreg/{model}-{upstream}-300ep-lr_0.001-{recipe}"
        file += f"--imagenet2012-steps_20k-lr_{rate}-res_{size}"
        repo += ".augreg_in21k_ft_in1k" if upstream == "i21k" else ".augreg_in1k"
        yield PublishedWeights(
            f"timm/{repo}",
            (_gs(file), *_timm(repo)),
            preprocessing=_google(size),
            top1=top1,
            top1_source=_TIMM + ("0.9" if size == 224 else "1.0"),
            **_augreg_facts(model, upstream, **_CLASSES_1K),
        )
    # Fine-tuned once more, by timm, hence with its activation and preprocessing.
    for patch, top1 in ((16, 85.096), (8, 86.218)):
        repo = f"vit_base_patch{patch}_224.augreg2_in21k_ft_in1k"
        facts = _augreg_facts(f"B_{patch}", **_CLASSES_1K)
        facts["model"] = dataclasses.replace(facts["model"], activation="gelu")
        yield PublishedWeights(
            f"timm/{repo}",
            _timm(repo),
            preprocessing=_torch(224, 0.9, imagenet_statistics=False),
            top1=top1,
            top1_source=_TIMM + "0.9",
            **facts,
        )


def _timm(repo: str | None, lacks: tuple[str, ...] = ()) -> tuple[Place, ...]:
    return (_hub(f"timm/{repo}", lacks),) if repo else ()


# The ViT paper (arXiv:2010.11929) ----------------------------------------------------
# Files: the original's README. Hub: Google's repositories (the branches are pull
# requests of the Hub's own converter to safetensors, where the main branch has none)
# and timm's. Hugging Face's class for these has no head over 21,843 classes; timm's
# has neither that nor the tanh layer.

_IN21K = (
    ("ViT-B_16", 768, "google/vit-base-patch16-224-in21k", "vit_base_patch16_224"),
    ("ViT-B_32", 768, "google/vit-base-patch32-224-in21k", "vit_base_patch32_224"),
    ("ViT-L_16", 1024, "google/vit-large-patch16-224-in21k", "vit_large_patch16_224"),
    ("ViT-L_32", 1024, "google/vit-large-patch32-224-in21k@refs/pr/1",
     "vit_large_patch32_224"),
    ("ViT-H_14", 1280, "google/vit-huge-patch14-224-in21k", "vit_huge_patch14_224"),
    ("R50+ViT-B_16", 768, None, "vit_base_r50_s16_224"),
)  # fmt: skip
# Top-1 at 384 by timm; "-224" by the README.
_IN21K_1K = (
    ("ViT-B_16", 384, "google/vit-base-patch16-384",
     "vit_base_patch16_384.orig_in21k_ft_in1k", 84.200),
    ("ViT-B_16-224", 224, "google/vit-base-patch16-224",
     "vit_base_patch16_224.orig_in21k_ft_in1k", 81.2),
    ("ViT-B_32", 384, "google/vit-base-patch32-384", None, None),
    ("ViT-L_16", 384, "google/vit-large-patch16-384@refs/pr/1", None, None),
    ("ViT-L_16-224", 224, "google/vit-large-patch16-224@refs/pr/2", None, 82.7),
    ("ViT-L_32", 384, "google/vit-large-patch32-384@refs/pr/1",
     "vit_large_patch32_384.orig_in21k_ft_in1k", 81.510),
    ("R50+ViT-B_16", 384, None,
     "vit_base_r50_s16_384.orig_in21k_ft_in1k", 84.976),
)  # fmt: skip


def _vit() -> Iterator[PublishedWeights]:
    both: dict[str, Any] = {"paper": "2010.11929", "license": _APACHE}
    for name, width, google, timm in _IN21K:
        places = [_gs(f"vit_models/imagenet21k/{name}")]
        places += [_hub(google, ("head",))] if google else []
        places += _timm(f"{timm}.orig_in21k", ("head", "pre_logits"))
        yield PublishedWeights(
            f"imagenet21k/{name}",
            tuple(places),
            model=ModelConfig(
                variant=name.replace("_", "/"), representation_size=width
            ),
            preprocessing=_google(224),
            trained_on="ImageNet-21k",
            **_CLASSES_21K,
            **both,
        )
    for name, size, google, timm, top1 in _IN21K_1K:
        places = [_gs(f"vit_models/imagenet21k+imagenet2012/{name}")]
        places += [_hub(google)] if google else []
        source = _README if size == 224 else _TIMM + "1.0"
        yield PublishedWeights(
            f"imagenet21k+imagenet2012/{name}",
            (*places, *_timm(timm)),
            model=ModelConfig(variant=name.removesuffix("-224").replace("_", "/")),
            preprocessing=_google(size),
            top1=top1,
            top1_source=source if top1 else None,
            trained_on="ImageNet-21k, then ImageNet-1k",
            **_CLASSES_1K,
            **both,
        )


# SAM (arXiv:2106.01548), GSAM (arXiv:2203.08065), Mixer (arXiv:2105.01601) -----------
# Preprocessing: big_vision's vit_i1k_gsam_no_aug.py, which is SAM's with other numbers.
# The files of SAM and the folder of GSAM are those that public code names. GSAM's
# models pool by the mean and have no class token (the original's pull request 215).


def _from_scratch() -> Iterator[PublishedWeights]:
    common: dict[str, Any] = {
        "preprocessing": _big_vision(224),
        "license": _APACHE,
        "trained_on": "ImageNet-1k",
        **_CLASSES_1K,
    }
    for name, timm, top1 in (
        ("ViT-S_16", None, None),
        ("ViT-B_32", "vit_base_patch32_224.sam_in1k", 73.694),
        ("ViT-B_16", "vit_base_patch16_224.sam_in1k", 80.244),
    ):
        yield PublishedWeights(
            f"sam/{name}",
            (_gs(f"vit_models/sam/{name}"), *_timm(timm)),
            model=ModelConfig(variant=name.replace("_", "/")),
            top1=top1,
            top1_source=_TIMM + "0.9" if top1 else None,
            paper="2106.01548",
            **common,
        )
    for name in ("Mixer-B_32", "Mixer-B_16"):
        yield PublishedWeights(
            f"sam/{name}",
            (_gs(f"mixer_models/sam/{name}"),),
            model=ModelConfig(variant=name.replace("_", "/")),
            paper="2106.01548",
            **common,
        )
    for name in ("ViT-S_32", "ViT-S_16", "ViT-B_32", "ViT-B_16"):
        yield PublishedWeights(
            f"gsam/{name}",
            (_gs(f"vit_models/gsam/{name}"),),
            model=ModelConfig(variant=name.replace("_", "/"), classifier="gap"),
            paper="2203.08065",
            note="timm's author measured very poor accuracy (timm issue 1302)",
            **common,
        )
    for size, top1 in (("B", 76.602), ("L", 72.054)):
        timm = f"mixer_{size.lower()}16_224.goog_in21k"
        facts: dict[str, Any] = {
            "model": ModelConfig(variant=f"Mixer-{size}/16"),
            "paper": "2105.01601",
        }
        yield PublishedWeights(
            f"imagenet21k/Mixer-{size}_16",
            (_gs(f"mixer_models/imagenet21k/Mixer-{size}_16"), *_timm(timm)),
            **{**common, **facts, **_CLASSES_21K, "trained_on": "ImageNet-21k"},
        )
        yield PublishedWeights(
            f"imagenet1k/Mixer-{size}_16",
            (
                _gs(f"mixer_models/imagenet1k/Mixer-{size}_16"),
                *_timm(f"{timm}_ft_in1k"),
            ),
            top1=top1,
            top1_source=_TIMM + "0.875",
            note="timm says in21k_ft_in1k; its accuracy is that of ImageNet-1k alone",
            **common,
            **facts,
        )
    # big_vision's vit_s16_i1k.py; arXiv:2205.01580 (its abstract: 300 epochs).
    for epochs, top1 in ((90, 76.5), (150, None), (300, 80.0)):
        yield PublishedWeights(
            f"big_vision/vit_s16_i1k_{epochs}ep",
            (_gs(f"big_vision/vit_s16_i1k_{epochs}ep"),),
            model=ModelConfig(
                variant="ViT-S/16",
                classifier="gap",
                posemb="sincos2d",
                representation_size=384,
            ),
            top1=top1,
            top1_source="arXiv:2205.01580" if top1 else None,
            paper="2205.01580",
            **common,
        )


# DeiT (arXiv:2012.12877), DeiT III (arXiv:2204.07118) --------------------------------
# Top-1 and DeiT's crop of 0.875: facebookresearch/deit README_deit.md and main.py;
# README_revenge.md. DeiT III's crop: timm.

_DEIT = (
    ("Ti", 224, False, 72.2, "facebook/deit-tiny-patch16-224@refs/pr/3"),
    ("Ti", 224, True, 74.5, "facebook/deit-tiny-distilled-patch16-224@refs/pr/3"),
    ("S", 224, False, 79.9, None),
    ("S", 224, True, 81.2, None),
    ("B", 224, False, 81.8, "facebook/deit-base-patch16-224@refs/pr/3"),
    ("B", 224, True, 83.4, "facebook/deit-base-distilled-patch16-224@refs/pr/2"),
    ("B", 384, False, 82.9, None),
    ("B", 384, True, 85.2, "facebook/deit-base-distilled-patch16-384"),
)
_DEIT3 = (
    # size, patch, resolution, top-1 from ImageNet-1k alone, and from ImageNet-21k
    ("S", 16, 224, 81.4, 83.1),
    ("S", 16, 384, 83.4, 84.8),
    ("M", 16, 224, 83.086, 84.552),  # timm's: the README came without M
    ("B", 16, 224, 83.8, 85.7),
    ("B", 16, 384, 85.0, 86.7),
    ("L", 16, 224, 84.9, 87.0),
    ("L", 16, 384, 85.8, 87.7),
    ("H", 14, 224, 85.2, 87.2),
)
_LONG = {
    "Ti": "tiny",
    "S": "small",
    "M": "medium",
    "B": "base",
    "L": "large",
    "H": "huge",
}


def _deit() -> Iterator[PublishedWeights]:
    common: dict[str, Any] = {"license": _APACHE, **_CLASSES_1K}
    for size, pixels, distilled, top1, facebook in _DEIT:
        middle = "distilled_" if distilled else ""
        repo = f"deit_{_LONG[size]}_{middle}patch16_{pixels}.fb_in1k"
        yield PublishedWeights(
            f"deit/ViT-{size}_16-{pixels}" + ("-distilled" if distilled else ""),
            (*_timm(repo), *([_hub(facebook)] if facebook else [])),
            model=ModelConfig(
                variant=f"ViT-{size}/16",
                activation="gelu",
                distillation_token=distilled,
            ),
            preprocessing=_torch(pixels, 0.875, imagenet_statistics=True),
            top1=top1,
            top1_source="facebookresearch/deit README_deit.md",
            trained_on="ImageNet-1k",
            paper="2012.12877",
            **common,
        )
    for size, patch, pixels, alone, from_21k in _DEIT3:
        for top1, suffix, upstream in (
            (alone, "", "fb_in1k"),
            (from_21k, "-in21k", "fb_in22k_ft_in1k"),
        ):
            repo = f"deit3_{_LONG[size]}_patch{patch}_{pixels}.{upstream}"
            crop = 1.0 if suffix or pixels == 384 else 0.9
            source = "facebookresearch/deit README_revenge.md"
            yield PublishedWeights(
                f"deit3/ViT-{size}_{patch}-{pixels}{suffix}",
                _timm(repo),
                model=ModelConfig(
                    variant=f"ViT-{size}/{patch}",
                    activation="gelu",
                    posemb_prefix=False,
                    layer_scale_init=1e-6,
                ),
                preprocessing=_torch(pixels, crop, imagenet_statistics=True),
                top1=top1,
                top1_source=_TIMM + str(crop) if size == "M" else source,
                trained_on="ImageNet-21k, then ImageNet-1k"
                if suffix
                else "ImageNet-1k",
                paper="2204.07118",
                **common,
            )


# DINOv2 (arXiv:2304.07193), with registers (arXiv:2309.16588) ------------------------
# Top-1: facebookresearch/dinov2 README, linear probe. The rest: timm. The Hub has the
# models without registers from Facebook, too.

_DINOV2 = (
    ("S", "small", 81.1, 80.9),
    ("B", "base", 84.5, 84.6),
    ("L", "large", 86.3, 86.7),
    ("g", "giant", 86.5, 87.1),
)


def _dinov2() -> Iterator[PublishedWeights]:
    for size, long, plain, with_registers in _DINOV2:
        config = ModelConfig(
            variant=f"ViT-{size}/14", activation="gelu", layer_scale_init=1e-5
        )
        if size == "g":  # not the ViT-g of arXiv:2106.04560
            config = dataclasses.replace(
                config,
                hidden_size=1536,
                num_heads=24,
                mlp_dim=4096,
                activation="swiglu",
            )
        for top1, suffix, infix in (
            (plain, "", ""),
            (with_registers, "-reg4", "reg4_"),
        ):
            if suffix:
                config = dataclasses.replace(
                    config, num_registers=4, posemb_prefix=False
                )
            facebook = () if suffix else (_hub(f"facebook/dinov2-{long}"),)
            yield PublishedWeights(
                f"dinov2/ViT-{size}_14{suffix}",
                (*_timm(f"vit_{long}_patch14_{infix}dinov2.lvd142m"), *facebook),
                model=config,
                preprocessing=_torch(518, 1.0, imagenet_statistics=True),
                top1=top1,
                top1_source="facebookresearch/dinov2 README, linear probe",
                license=_APACHE,
                trained_on="LVD-142M, without labels",
                paper="2309.16588" if suffix else "2304.07193",
            )


# SigLIP (arXiv:2303.15343), SigLIP 2 (arXiv:2502.14786) ------------------------------
# Files: big_vision's models/vit.py; README_siglip2.md, whose table top-1 is from. The
# published 384 of So400m/14 covers 378 pixels: 27 patches of 14.

_SIGLIP = (
    ("B", 16, 224, "webli_en_b16_224_63724782"),
    ("B", 16, 256, "webli_en_b16_256_60500360"),
    ("B", 16, 384, "webli_en_b16_384_68578854"),
    ("B", 16, 512, "webli_en_b16_512_68580893"),
    ("L", 16, 256, "webli_en_l16_256_60552751"),
    ("L", 16, 384, "webli_en_l16_384_63634585"),
    ("So400m", 14, 224, "webli_en_so400m_224_57633886"),
    ("So400m", 14, 378, "webli_en_so400m_384_58765454"),
)
_SIGLIP2 = (
    ("B", 32, 256, 74.0),
    ("B", 16, 224, 78.2),
    ("B", 16, 256, 79.1),
    ("B", 16, 384, 80.6),
    ("B", 16, 512, 81.2),
    ("L", 16, 256, 82.5),
    ("L", 16, 384, 83.1),
    ("L", 16, 512, 83.5),
    ("So400m", 14, 224, 83.2),
    ("So400m", 14, 378, 84.1),
    ("So400m", 16, 256, 83.4),
    ("So400m", 16, 384, 84.1),
    ("So400m", 16, 512, 84.3),
)


def _siglip() -> Iterator[PublishedWeights]:
    def row(release: str, size: str, patch: int, pixels: int, **facts: Any):
        long = _LONG.get(size, size.lower())
        tag = {"siglip": "webli", "siglip2": "v2_webli"}[release]
        repo = f"vit_{long}_patch{patch}_siglip_{pixels}.{tag}"
        return PublishedWeights(
            f"{release}/ViT-{size}_{patch}-{pixels}",
            (*_timm(repo), facts.pop("place")),
            model=ModelConfig(variant=f"ViT-{size}/{patch}", classifier="map"),
            preprocessing=_google(pixels),
            license=_APACHE,
            trained_on="WebLI, images and their texts",
            **facts,
        )

    for size, patch, pixels, file in _SIGLIP:
        place = _gs(f"big_vision/siglip/{file}")
        yield row("siglip", size, patch, pixels, place=place, paper="2303.15343")
    for size, patch, pixels, top1 in _SIGLIP2:
        named = 384 if pixels == 378 else pixels
        long = _LONG.get(size, size.lower())
        file = f"siglip2_{size.lower()}{patch}_{named}.npz"
        yield row(
            "siglip2",
            size,
            patch,
            pixels,
            place=_hub(f"google/siglip2-{long}-patch{patch}-{named}-jax", file=file),
            top1=top1,
            top1_source="big_vision README_siglip2.md, zero-shot with its text tower",
            paper="2502.14786",
        )


# -------------------------------------------------------------------------------------

# What a name of a model alone stands for: weights with a place that still answers.
DEFAULTS = {
    "ViT-Ti/16": "augreg/Ti_16",
    "ViT-S/16": "augreg/S_16",
    "ViT-B/16": "augreg/B_16",
    "ViT-S/32": "timm/vit_small_patch32_224.augreg_in21k",
    "ViT-B/32": "timm/vit_base_patch32_224.augreg_in21k",
    "ViT-B/8": "timm/vit_base_patch8_224.augreg_in21k",
    "ViT-L/16": "timm/vit_large_patch16_224.augreg_in21k",
    "ViT-L/32": "imagenet21k/ViT-L_32",
    "ViT-H/14": "imagenet21k/ViT-H_14",
    "ViT-M/16": "deit3/ViT-M_16-224-in21k",
    "ViT-S/14": "dinov2/ViT-S_14",
    "ViT-B/14": "dinov2/ViT-B_14",
    "ViT-L/14": "dinov2/ViT-L_14",
    "ViT-So400m/14": "siglip2/ViT-So400m_14-378",
    "ViT-So400m/16": "siglip2/ViT-So400m_16-384",
    "R+ViT-Ti/16": "augreg/R_Ti_16",
    "R26+ViT-S/32": "timm/vit_small_r26_s32_224.augreg_in21k",
    "R50+ViT-L/32": "timm/vit_large_r50_s32_224.augreg_in21k",
    "R50+ViT-B/16": "imagenet21k/R50+ViT-B_16",
    "Mixer-B/16": "imagenet21k/Mixer-B_16",
    "Mixer-L/16": "imagenet21k/Mixer-L_16",
}

# Trained on data that nobody else has, and never released.
UNRELEASED = ("ViT-g/14", "ViT-G/14", "ViT-e/14", "ViT-22B/14")

# Where the files of AugReg that are not in this table lie, and their index.
AUGREG_FOLDER = "gs://vit_models/augreg"


def _collect(rows: Iterable[PublishedWeights]) -> dict[str, PublishedWeights]:
    table: dict[str, PublishedWeights] = {}
    for row in rows:
        assert row.name not in table
        params, gflops = COSTS[row.name]
        table[row.name] = dataclasses.replace(row, params=params, gflops=gflops)
    return table


def _all_rows() -> Iterator[PublishedWeights]:
    for release in (_augreg, _vit, _from_scratch, _deit, _dinov2, _siglip):
        yield from release()


# Parameters with the head, and 1e9 multiply-adds per image. Counted, never typed.
COSTS: dict[str, tuple[int, float]] = {
    "augreg/Ti_16": (9_740_115, 1.258),
    "augreg/Ti_16-384": (5_790_376, 4.682),
    "augreg/S_32": (30_903_507, 1.151),
    "augreg/S_32-384": (22_915_432, 3.443),
    "augreg/S_16": (30_075_219, 4.607),
    "augreg/S_16-384": (22_196_584, 15.49),
    "augreg/B_32": (104_252_499, 4.425),
    "augreg/B_32-384": (88_297_192, 13.04),
    "augreg/B_16": (102_595_923, 17.58),
    "augreg/B_16-384": (86_859_496, 55.48),
    "augreg/L_16": (325_690_707, 61.58),
    "augreg/L_16-384": (304_715_752, 191.1),
    "augreg/R_Ti_16": (10_360_403, 0.438),
    "augreg/R_Ti_16-384": (6_355_944, 1.327),
    "augreg/R26_S_32": (44_456_467, 3.472),
    "augreg/R26_S_32-384": (36_468_392, 10.26),
    "augreg/R50_L_32": (350_358_931, 19.43),
    "augreg/R50_L_32-384": (329_092_136, 57.14),
    "timm/vit_small_patch32_224.augreg_in21k": (30_903_507, 1.151),
    "timm/vit_base_patch32_224.augreg_in21k": (104_252_499, 4.425),
    "timm/vit_base_patch8_224.augreg_in21k": (102_605_139, 78.16),
    "timm/vit_large_patch16_224.augreg_in21k": (325_690_707, 61.58),
    "timm/vit_small_r26_s32_224.augreg_in21k": (44_456_467, 3.472),
    "timm/vit_large_r50_s32_224.augreg_in21k": (350_358_931, 19.43),
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k": (5_717_416, 1.254),
    "timm/vit_small_patch32_224.augreg_in21k_ft_in1k": (22_878_952, 1.143),
    "timm/vit_small_patch32_384.augreg_in21k_ft_in1k": (22_915_432, 3.443),
    "timm/vit_small_patch16_224.augreg_in21k_ft_in1k": (22_050_664, 4.599),
    "timm/vit_base_patch32_224.augreg_in21k_ft_in1k": (88_224_232, 4.409),
    "timm/vit_base_patch32_384.augreg_in21k_ft_in1k": (88_297_192, 13.04),
    "timm/vit_base_patch16_224.augreg_in21k_ft_in1k": (86_567_656, 17.56),
    "timm/vit_base_patch16_384.augreg_in21k_ft_in1k": (86_859_496, 55.48),
    "timm/vit_base_patch8_224.augreg_in21k_ft_in1k": (86_576_872, 78.15),
    "timm/vit_large_patch16_224.augreg_in21k_ft_in1k": (304_326_632, 61.55),
    "timm/vit_large_patch16_384.augreg_in21k_ft_in1k": (304_715_752, 191.1),
    "timm/vit_tiny_r_s16_p8_224.augreg_in21k_ft_in1k": (6_337_704, 0.434),
    "timm/vit_small_r26_s32_224.augreg_in21k_ft_in1k": (36_431_912, 3.464),
    "timm/vit_small_r26_s32_384.augreg_in21k_ft_in1k": (36_468_392, 10.26),
    "timm/vit_large_r50_s32_224.augreg_in21k_ft_in1k": (328_994_856, 19.41),
    "timm/vit_large_r50_s32_384.augreg_in21k_ft_in1k": (329_092_136, 57.14),
    "timm/vit_small_patch16_224.augreg_in1k": (22_050_664, 4.599),
    "timm/vit_small_patch16_384.augreg_in1k": (22_196_584, 15.49),
    "timm/vit_base_patch32_224.augreg_in1k": (88_224_232, 4.409),
    "timm/vit_base_patch32_384.augreg_in1k": (88_297_192, 13.04),
    "timm/vit_base_patch16_224.augreg_in1k": (86_567_656, 17.56),
    "timm/vit_base_patch16_384.augreg_in1k": (86_859_496, 55.48),
    "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k": (86_567_656, 17.56),
    "timm/vit_base_patch8_224.augreg2_in21k_ft_in1k": (86_576_872, 78.15),
    "imagenet21k/ViT-B_16": (103_186_515, 17.58),
    "imagenet21k/ViT-B_32": (104_843_091, 4.426),
    "imagenet21k/ViT-L_16": (326_740_307, 61.58),
    "imagenet21k/ViT-L_32": (328_949_075, 15.4),
    "imagenet21k/ViT-H_14": (660_385_363, 167.3),
    "imagenet21k/R50+ViT-B_16": (115_277_971, 21.55),
    "imagenet21k+imagenet2012/ViT-B_16": (86_859_496, 55.48),
    "imagenet21k+imagenet2012/ViT-B_16-224": (86_567_656, 17.56),
    "imagenet21k+imagenet2012/ViT-B_32": (88_297_192, 13.04),
    "imagenet21k+imagenet2012/ViT-L_16": (304_715_752, 191.1),
    "imagenet21k+imagenet2012/ViT-L_16-224": (304_326_632, 61.55),
    "imagenet21k+imagenet2012/ViT-L_32": (306_632_680, 45.28),
    "imagenet21k+imagenet2012/R50+ViT-B_16": (98_950_952, 67.16),
    "sam/ViT-S_16": (22_050_664, 4.599),
    "sam/ViT-B_32": (88_224_232, 4.409),
    "sam/ViT-B_16": (86_567_656, 17.56),
    "sam/Mixer-B_32": (60_293_428, 3.238),
    "sam/Mixer-B_16": (59_880_472, 12.6),
    "gsam/ViT-S_32": (22_878_184, 1.121),
    "gsam/ViT-S_16": (22_049_896, 4.574),
    "gsam/ViT-B_32": (88_222_696, 4.322),
    "gsam/ViT-B_16": (86_566_120, 17.47),
    "imagenet21k/Mixer-B_16": (75_908_739, 12.62),
    "imagenet1k/Mixer-B_16": (59_880_472, 12.6),
    "imagenet21k/Mixer-L_16": (229_560_243, 44.57),
    "imagenet1k/Mixer-L_16": (208_196_168, 44.55),
    "big_vision/vit_s16_i1k_90ep": (22_122_472, 4.574),
    "big_vision/vit_s16_i1k_150ep": (22_122_472, 4.574),
    "big_vision/vit_s16_i1k_300ep": (22_122_472, 4.574),
    "deit/ViT-Ti_16-224": (5_717_416, 1.254),
    "deit/ViT-Ti_16-224-distilled": (5_910_800, 1.261),
    "deit/ViT-S_16-224": (22_050_664, 4.599),
    "deit/ViT-S_16-224-distilled": (22_436_432, 4.624),
    "deit/ViT-B_16-224": (86_567_656, 17.56),
    "deit/ViT-B_16-224-distilled": (87_338_192, 17.66),
    "deit/ViT-B_16-384": (86_859_496, 55.48),
    "deit/ViT-B_16-384-distilled": (87_630_032, 55.59),
    "deit3/ViT-S_16-224": (22_059_496, 4.599),
    "deit3/ViT-S_16-224-in21k": (22_059_496, 4.599),
    "deit3/ViT-S_16-384": (22_205_416, 15.49),
    "deit3/ViT-S_16-384-in21k": (22_205_416, 15.49),
    "deit3/ViT-M_16-224": (38_849_512, 7.991),
    "deit3/ViT-M_16-224-in21k": (38_849_512, 7.991),
    "deit3/ViT-B_16-224": (86_585_320, 17.56),
    "deit3/ViT-B_16-224-in21k": (86_585_320, 17.56),
    "deit3/ViT-B_16-384": (86_877_160, 55.48),
    "deit3/ViT-B_16-384-in21k": (86_877_160, 55.48),
    "deit3/ViT-L_16-224": (304_374_760, 61.55),
    "deit3/ViT-L_16-224-in21k": (304_374_760, 61.55),
    "deit3/ViT-L_16-384": (304_763_880, 191.1),
    "deit3/ViT-L_16-384-in21k": (304_763_880, 191.1),
    "deit3/ViT-H_14-224": (632_126_440, 167.3),
    "deit3/ViT-H_14-224-in21k": (632_126_440, 167.3),
    "dinov2/ViT-S_14": (22_056_192, 46.7),
    "dinov2/ViT-S_14-reg4": (22_057_344, 46.88),
    "dinov2/ViT-B_14": (86_579_712, 151.6),
    "dinov2/ViT-B_14-reg4": (86_582_016, 152.1),
    "dinov2/ViT-L_14": (304_367_616, 506.8),
    "dinov2/ViT-L_14-reg4": (304_370_688, 508.6),
    "dinov2/ViT-g_14": (1_136_479_232, 1783.0),
    "dinov2/ViT-g_14-reg4": (1_136_483_840, 1789.0),
    "siglip/ViT-B_16-224": (92_884_224, 17.71),
    "siglip/ViT-B_16-256": (92_930_304, 23.41),
    "siglip/ViT-B_16-384": (93_176_064, 56.06),
    "siglip/ViT-B_16-512": (93_520_128, 108.1),
    "siglip/ViT-L_16-256": (315_956_224, 81.28),
    "siglip/ViT-L_16-384": (316_283_904, 191.9),
    "siglip/ViT-So400m_14-224": (427_680_704, 110.2),
    "siglip/ViT-So400m_14-378": (428_225_600, 335.2),
    "siglip2/ViT-B_32-256": (94_552_320, 5.744),
    "siglip2/ViT-B_16-224": (92_884_224, 17.71),
    "siglip2/ViT-B_16-256": (92_930_304, 23.41),
    "siglip2/ViT-B_16-384": (93_176_064, 56.06),
    "siglip2/ViT-B_16-512": (93_520_128, 108.1),
    "siglip2/ViT-L_16-256": (315_956_224, 81.28),
    "siglip2/ViT-L_16-384": (316_283_904, 191.9),
    "siglip2/ViT-L_16-512": (316_742_656, 363.7),
    "siglip2/ViT-So400m_14-224": (427_680_704, 110.2),
    "siglip2/ViT-So400m_14-378": (428_225_600, 335.2),
    "siglip2/ViT-So400m_16-256": (427_888_064, 110.2),
    "siglip2/ViT-So400m_16-384": (428_256_704, 259.5),
    "siglip2/ViT-So400m_16-512": (428_772_800, 489.8),
}

WEIGHTS: dict[str, PublishedWeights] = _collect(_all_rows())
