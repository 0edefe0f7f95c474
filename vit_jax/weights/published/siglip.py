"""SigLIP (arXiv:2303.15343) and SigLIP 2 (arXiv:2502.14786).

Files: big_vision's models/vit.py; README_siglip2.md, whose table top-1 is from. The
published 384 of So400m/14 covers 378 pixels: 27 patches of 14.
"""

from collections.abc import Iterator
from typing import Any

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    LONG_NAMES,
    Costs,
    locate_in_bucket,
    locate_on_hub,
    locate_timm,
    prepare_as_google,
)
from vit_jax.weights.record import Location, PublishedWeights

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


def list_rows() -> Iterator[PublishedWeights]:
    def make_row(
        release: str, size: str, patch: int, pixels: int, other: Location, **facts: Any
    ):
        long = LONG_NAMES.get(size, size.lower())
        tag = {"siglip": "webli", "siglip2": "v2_webli"}[release]
        repo = f"vit_{long}_patch{patch}_siglip_{pixels}.{tag}"
        return PublishedWeights(
            f"{release}/ViT-{size}_{patch}-{pixels}",
            (*locate_timm(repo), other),
            model=ModelConfig(variant=f"ViT-{size}/{patch}", classifier="map"),
            preprocessing=prepare_as_google(pixels),
            license=APACHE,
            trained_on="WebLI, images and their texts",
            **facts,
        )

    for size, patch, pixels, file in _SIGLIP:
        location = locate_in_bucket(f"big_vision/siglip/{file}")
        yield make_row("siglip", size, patch, pixels, location, paper="2303.15343")
    for size, patch, pixels, top1 in _SIGLIP2:
        named = 384 if pixels == 378 else pixels
        long = LONG_NAMES.get(size, size.lower())
        file = f"siglip2_{size.lower()}{patch}_{named}.npz"
        yield make_row(
            "siglip2",
            size,
            patch,
            pixels,
            locate_on_hub(f"google/siglip2-{long}-patch{patch}-{named}-jax", file=file),
            top1=top1,
            top1_source="big_vision README_siglip2.md, zero-shot with its text tower",
            paper="2502.14786",
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
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
