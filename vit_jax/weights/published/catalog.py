"""All published weights, release after release.

Where a number comes from:
  params, gflops: counted from the model (each release's ``COSTS``, held by a test),
    with the head. GFLOPs are 1e9 multiply-adds per image; see `models.flops`.
  top1: percent on ImageNet-1k's validation set, as published; ``top1_source`` says by
    whom, and how if it is not plain classification.
"""

import dataclasses
from collections.abc import Iterator

from vit_jax.weights.published import (
    augreg,
    big_vision,
    deit,
    dino,
    mixer,
    sam,
    siglip,
    timm,
    vit,
)
from vit_jax.weights.record import PublishedWeights

# In the order in which they are listed. A new release is a file beside this one.
RELEASES = (augreg, timm, vit, sam, mixer, big_vision, deit, dino, siglip)


def _collect() -> Iterator[tuple[str, PublishedWeights]]:
    for release in RELEASES:
        for row in release.list_rows():
            params, gflops = release.COSTS[row.name]
            yield row.name, dataclasses.replace(row, params=params, gflops=gflops)


WEIGHTS: dict[str, PublishedWeights] = dict(_collect())
