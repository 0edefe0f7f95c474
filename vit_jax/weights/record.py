"""What is known about one set of published weights, and where its files are."""

import dataclasses

from vit_jax.config import ModelConfig, Preprocessing


@dataclasses.dataclass(frozen=True)
class Location:
    """One file with the weights.

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
        name: what `weights.fetch_weights` takes.
        locations: in the order in which they are tried; the same weights in each.
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
    locations: tuple[Location, ...]
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
