"""Plain ViT-S/16 of big_vision's vit_s16_i1k.py (arXiv:2205.01580).

Top-1 is the paper's; its abstract has that of 300 epochs.
"""

from collections.abc import Iterator

from vit_jax.config import ModelConfig
from vit_jax.weights.published.conventions import (
    APACHE,
    CLASSES_1K,
    Costs,
    locate_in_bucket,
    prepare_as_big_vision,
)
from vit_jax.weights.record import PublishedWeights


def list_rows() -> Iterator[PublishedWeights]:
    for epochs, top1 in ((90, 76.5), (150, None), (300, 80.0)):
        yield PublishedWeights(
            f"big_vision/vit_s16_i1k_{epochs}ep",
            (locate_in_bucket(f"big_vision/vit_s16_i1k_{epochs}ep"),),
            model=ModelConfig(
                variant="ViT-S/16",
                classifier="gap",
                posemb="sincos2d",
                representation_size=384,
            ),
            preprocessing=prepare_as_big_vision(224),
            top1=top1,
            top1_source="arXiv:2205.01580" if top1 else None,
            license=APACHE,
            trained_on="ImageNet-1k",
            paper="2205.01580",
            **CLASSES_1K,
        )


# Parameters with the head, and 1e9 multiply-adds per image: counted (see the test).
COSTS: Costs = {
    "big_vision/vit_s16_i1k_90ep": (22_122_472, 4.574),
    "big_vision/vit_s16_i1k_150ep": (22_122_472, 4.574),
    "big_vision/vit_s16_i1k_300ep": (22_122_472, 4.574),
}
