"""What the name of a model alone stands for, and models without weights."""

# What a name of a model alone stands for: weights with a location that still answers.
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
