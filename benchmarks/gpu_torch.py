"""The parts of `gpu.py` that timm takes: asked on standard input, answered in JSON.

As timm's own scripts run it: channels last, its fused attention, autocast to bfloat16,
fused AdamW, float32 products left over in tf32. It needs no JAX.
"""

import gc
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from gpu_options import REHEARSE, REPEATS, SECONDS, short

TIMM = {
    "ViT-S/16": "vit_small_patch16_224",
    "ViT-B/16": "vit_base_patch16_224",
    "ViT-L/16": "vit_large_patch16_224",
    "ViT-H/14": "vit_huge_patch14_224",
}
TINY = {"embed_dim": 64, "depth": 2, "num_heads": 2}


class Peer:
    """timm on one device."""

    def __init__(self) -> None:
        self.torch = torch = importlib.import_module("torch")
        import_torchvision(torch)
        self.timm = importlib.import_module("timm")
        self.device = torch.device("cpu" if REHEARSE else "cuda")
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)
        self.versions = {"torch": torch.__version__, "timm": self.timm.__version__}

    def wait(self) -> None:
        if not REHEARSE:
            self.torch.cuda.synchronize()

    def peak(self) -> dict[str, Any]:
        """FLOP/s of the same products as JAX's, of random numbers: see `gpu_jax`."""
        torch, side = self.torch, 256 if REHEARSE else 8192
        make = {"dtype": torch.bfloat16, "device": self.device}
        x, y = torch.randn(side, side, **make), torch.randn(side, side, **make)
        y /= side**0.5

        def run(calls: int) -> None:
            z = x
            for _ in range(calls):
                z = z @ y
            self.wait()

        flops = 2 * side**3
        run(2)
        bursts = []
        for _ in range(3 if REHEARSE else 7):
            time.sleep(0.2)
            start = time.perf_counter()
            run(20)
            bursts.append(20 * flops / (time.perf_counter() - start))
        return {
            "product_flops_per_s": float(np.median(bursts)),
            "sustained_product_flops_per_s": self._time(run, flops)["images_per_s"],
            "versions": self.versions,
        }

    def train(self, variant: str, batch_size: int, **how: bool) -> dict[str, Any]:
        torch = self.torch
        model, images, labels, size = self._make(variant, batch_size, **how)
        model.train()

        def loss_of(images: Any, labels: Any) -> Any:
            logits = self._forward(model, images, how["bfloat16_weights"])
            return torch.nn.functional.cross_entropy(logits.float(), labels)

        call = torch.compile(loss_of) if how["compiled"] else loss_of
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=1e-4, weight_decay=0.1, fused=not REHEARSE
        )

        def run(calls: int) -> None:
            for _ in range(calls):
                optimizer.zero_grad(set_to_none=True)
                call(images, labels).backward()
                optimizer.step()
            self.wait()

        return self._result(run, variant, size)

    def inference(self, variant: str, batch_size: int, **how: bool) -> dict[str, Any]:
        torch = self.torch
        model, images, _, size = self._make(variant, batch_size, **how)
        model.eval()

        def forward(images: Any) -> Any:
            return self._forward(model, images, how["bfloat16_weights"]).float()

        call = torch.compile(forward) if how["compiled"] else forward

        def run(calls: int) -> None:
            with torch.inference_mode():
                for _ in range(calls):
                    call(images)
            self.wait()

        return self._result(run, variant, size)

    def _make(
        self, variant: str, batch_size: int, compiled: bool, bfloat16_weights: bool
    ) -> tuple[Any, Any, Any, int]:
        torch = self.torch
        if compiled:
            torch._dynamo.reset()
        tiny: dict[str, Any] = dict(TINY) if REHEARSE else {}
        size, side = (4, 28 if "/14" in variant else 32) if tiny else (batch_size, 224)
        if tiny:
            tiny["img_size"] = side
        last = torch.channels_last
        with self.device:
            model = self.timm.create_model(TIMM[variant], num_classes=1000, **tiny)
            images = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8)
            labels = torch.randint(0, 1000, (size,))
        dtype = torch.bfloat16 if bfloat16_weights else torch.float32
        model = model.to(dtype=dtype, memory_format=last)
        return model, images.contiguous(memory_format=last), labels, size

    def _forward(self, model: Any, images: Any, bfloat16_weights: bool) -> Any:
        torch = self.torch
        scaled = (images.float() - 127.5) / 127.5
        if bfloat16_weights:
            return model(scaled.to(torch.bfloat16))
        with torch.autocast(self.device.type, torch.bfloat16):
            return model(scaled)

    def _result(
        self, run: Callable[[int], None], variant: str, size: int
    ) -> dict[str, Any]:
        if not REHEARSE:
            self.torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        run(1)  # compiles where that is asked for
        first = time.perf_counter() - start
        found = {"variant": variant, **self._time(run, size), "first_call_s": first}
        if not REHEARSE:
            found["peak_memory"] = self.torch.cuda.max_memory_allocated()
        found["fused_attention"] = bool(self.timm.layers.use_fused_attn())
        return found

    def _time(self, run: Callable[[int], None], items: int) -> dict[str, Any]:
        """As `vit_jax.bench.timing.time_calls`."""
        run(1)
        start = time.perf_counter()
        run(1)
        calls = max(1, round(SECONDS / (time.perf_counter() - start)))
        rates = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            run(calls)
            rates.append(calls * items / (time.perf_counter() - start))
        low, median, high = np.percentile(rates, (25, 50, 75)).tolist()
        return {
            "images_per_s": median,
            "quartiles": [low, high],
            "seconds_per_call": items / median,
            "calls": calls,
            "repeats": REPEATS,
        }


def import_torchvision(torch: Any) -> None:
    """Imports what timm needs; a build for another torch lacks operators, not used."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        ):
            library.define(schema)
        torch._vit_jax_library = library  # it holds as long as the object lives
        importlib.import_module("torchvision")


def main() -> None:
    peer = None
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            peer = peer or Peer()
            answer = getattr(peer, ask.pop("what"))(**ask)
        except Exception as error:  # noqa: BLE001  (the next part is another)
            traceback.print_exc()
            answer = {"error": short(error)}
        print("result: " + json.dumps(answer), flush=True)
        gc.collect()
        if peer and not REHEARSE:
            peer.torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
