"""Other runs of AugReg that timm chose, and two that it fine-tuned once more."""

import dataclasses
from collections.abc import Iterator

from vit_jax.weights.published.augreg import describe_augreg
from vit_jax.weights.published.conventions import (
    CLASSES_1K,
    CLASSES_21K,
    TIMM,
    Costs,
    locate_in_bucket,
    locate_timm,
    prepare_as_google,
    prepare_as_torch,
)
from vit_jax.weights.record import PublishedWeights

# Repository, model, recipe.
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


def list_rows() -> Iterator[PublishedWeights]:
    for repo, model, recipe in _TIMM_21K:
        file = f"vit_models/augreg/{model}-i21k-300ep-lr_0.001-{recipe}"
        yield PublishedWeights(
            f"timm/{repo}.augreg_in21k",
            (locate_in_bucket(file), *locate_timm(f"{repo}.augreg_in21k")),
            preprocessing=prepare_as_google(224),
            **describe_augreg(model, **CLASSES_21K),
        )
    for repo, model, upstream, recipe, rate, size, top1 in _TIMM_1K:
        file = f"vit_models/augreg/{model}-{upstream}-300ep-lr_0.001-{recipe}"
        file += f"--imagenet2012-steps_20k-lr_{rate}-res_{size}"
        repo += ".augreg_in21k_ft_in1k" if upstream == "i21k" else ".augreg_in1k"
        yield PublishedWeights(
            f"timm/{repo}",
            (locate_in_bucket(file), *locate_timm(repo)),
            preprocessing=prepare_as_google(size),
            top1=top1,
            top1_source=TIMM + ("0.9" if size == 224 else "1.0"),
            **describe_augreg(model, upstream, **CLASSES_1K),
        )
    # Fine-tuned once more, by timm, hence with its activation and preprocessing.
    for patch, top1 in ((16, 85.096), (8, 86.218)):
        repo = f"vit_base_patch{patch}_224.augreg2_in21k_ft_in1k"
        facts = describe_augreg(f"B_{patch}", **CLASSES_1K)
        facts["model"] = dataclasses.replace(facts["model"], activation="gelu")
        yield PublishedWeights(
            f"timm/{repo}",
            locate_timm(repo),
            preprocessing=prepare_as_torch(224, 0.9, imagenet_statistics=False),
            top1=top1,
            top1_source=TIMM + "0.9",
            **facts,
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
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
}
