"""What `gpu.py` measures, the most valuable first."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Part:
    """One measurement.

    Attributes:
      name: of its result.
      worker: who takes it: ``jax`` (`gpu_jax.py`) or ``torch`` (`gpu_torch.py`).
      ask: what the worker is sent; ``what`` names one of its functions.
      needs: seconds under which it is not begun; twice that and a minute end it.
    """

    name: str
    worker: str
    ask: dict[str, Any]
    needs: float


def training(
    variant: str, batch: int, attention: str, needs: float = 30, **more: Any
) -> Part:
    name = f"train {variant}, batch {batch}, {attention}"
    ask = {"variant": variant, "batch_size": batch, "attention": attention, **more}
    return Part(name, "jax", {"what": "train", **ask}, needs)


def inference(variant: str, batch: int, attention: str, needs: float = 15) -> Part:
    name = f"inference {variant}, batch {batch}, {attention}"
    ask = {"variant": variant, "batch_size": batch, "attention": attention}
    return Part(name, "jax", {"what": "inference", **ask}, needs)


def peer(
    phase: str, variant: str, batch: int, how: str = "eager", needs: float = 15
) -> Part:
    """A part of timm; ``how`` may name torch.compile and weights in bfloat16."""
    name = f"{phase} {variant}, batch {batch}, timm {how}"
    ask = {"variant": variant, "batch_size": batch, "compiled": "compiled" in how}
    ask["bfloat16_weights"] = "bfloat16 weights" in how
    return Part(name, "torch", {"what": phase, **ask}, needs)


def variation(name: str, **change: Any) -> Part:
    """The step of B/16 with one thing changed, for what to do next."""
    ask = {"variant": "ViT-B/16", "batch_size": 256, "attention": "cudnn"}
    name = f"train ViT-B/16, batch 256, cudnn, {name}"
    return Part(name, "jax", {"what": "train", **ask, **change}, 30)


def all_parts() -> list[Part]:
    """Returns every part, the most valuable first, grouped by process."""
    b, l, h, s = "ViT-B/16", "ViT-L/16", "ViT-H/14", "ViT-S/16"
    return [
        Part("device", "jax", {"what": "device"}, 10),
        Part("attention", "jax", {"what": "attention"}, 40),
        training(b, 128, "cudnn"),
        training(b, 128, "xla"),
        training(b, 256, "cudnn", profiled=True),
        training(b, 256, "xla", profiled=True),
        inference(b, 256, "cudnn"),
        inference(b, 256, "xla"),
        Part("peak of torch", "torch", {"what": "peak"}, 15),
        peer("train", b, 128),
        peer("train", b, 256),
        peer("train", b, 256, "compiled", 60),
        peer("inference", b, 256),
        peer("inference", b, 256, "bfloat16 weights"),
        peer("inference", b, 256, "compiled, bfloat16 weights", 40),
        peer("train", l, 128),
        peer("train", b, 512),
        training(l, 128, "cudnn", 45),
        training(b, 512, "cudnn"),
        training(l, 128, "xla", 45),
        training(b, 512, "xla"),
        training(s, 256, "cudnn"),
        Part("padding of attention", "jax", {"what": "padding"}, 30),
        variation("scan", model={"scan": True}),
        variation(
            "no command buffers",
            options={"xla_gpu_enable_command_buffer": ""},
            profiled=True,  # kernels carry the names of operations then
        ),
        variation(
            "no latency hiding scheduler",
            options={"xla_gpu_enable_latency_hiding_scheduler": False},
        ),
        variation("no Triton products", options={"xla_gpu_enable_triton_gemm": False}),
        training(l, 256, "cudnn", 45),
        peer("train", l, 128, "compiled", 90),
        peer("train", s, 256),
        training(h, 64, "cudnn", 80),
        training(s, 256, "xla"),
    ]
