"""Where the time of a step goes: kernels by kind, by name and by place in the model."""

import gzip
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from gpu_options import KEEP

# Of a kernel's name, first match first.
KINDS = (
    ("attention", r"sdpa|fmha|flash|compute_dot_do_o|convert_dq"),
    ("patch embedding", r"implicit_gemm|cudnn|nhwc|conv2d"),
    ("products", r"gemm|nvjet|cutlass|cublas|xmma|matmul|splitk|triton_dot"),
    ("copies", r"memcpy|memset|copy|transpose"),
    ("reductions", r"reduce"),
    ("pointwise", r"fusion|loop|convert|add|multiply"),
)


def profile_of(
    run: Callable[[], None], steps: int, text: str, name: str
) -> dict[str, Any]:
    """Milliseconds a step by kind of kernel, by kernel, and by place in the model."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (file,) = Path(folder).rglob("*.xplane.pb")
        trace = file.read_bytes()
    if KEEP:
        for ending, content in (("hlo", text.encode()), ("xplane.pb", trace)):
            kept = KEEP / f"{name}.{ending}.gz"
            kept.write_bytes(gzip.compress(content))
    names = dict(re.findall(r'%?([\w.-]+) = .*?op_name="([^"]*)"', text))
    by_kind: dict[str, float] = defaultdict(float)
    by_kernel: dict[str, list[float]] = defaultdict(lambda: [0, 0])
    by_place: dict[str, float] = defaultdict(float)
    data = jax.profiler.ProfileData.from_serialized_xspace(trace)
    for plane in data.planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if line.name is None or not line.name.startswith("Stream"):
                continue
            for event in line.events:
                ms = event.duration_ns / 1e6 / steps
                stats = {key: value for key, value in event.stats if key}
                kernel = re.sub(r"[_.]?\d+$", "", event.name)
                by_kind[kind_of(event.name)] += ms
                by_kernel[kernel][0] += ms
                by_kernel[kernel][1] += 1 / steps
                by_place[place_of(names.get(str(stats.get("hlo_op")), ""))] += ms
    if not by_kind:
        planes = Counter(plane.name for plane in data.planes)
        raise RuntimeError(f"no kernels in the profile, which has {dict(planes)}")
    kernels = sorted(by_kernel.items(), key=lambda item: -item[1][0])[:40]
    return {
        "ms_per_step": sum(by_kind.values()),
        "by_kind": dict(sorted(by_kind.items(), key=lambda item: -item[1])),
        "by_place": dict(sorted(by_place.items(), key=lambda item: -item[1])),
        "kernels": [
            {"name": name[:100], "ms": ms, "calls": calls}
            for name, (ms, calls) in kernels
        ],
    }


def kind_of(kernel: str) -> str:
    for kind, pattern in KINDS:
        if re.search(pattern, kernel.lower()):
            return kind
    return "other"


def place_of(op_name: str) -> str:
    """Returns the part of the model that an operation stands in, and which pass."""
    if not op_name:
        return "unnamed"
    found = re.findall(
        r"LayerNorm_\d|encoder_norm|MlpBlock_0(?:/Dense_\d)?|embedding|posembed_input"
        r"|MultiHeadDotProductAttention_0(?:/(?:query|key|value|out)(?=/))?|head",
        op_name,
    )
    if not found:
        in_model = "Transformer" in op_name
        return "residual" if in_model else "optimizer and loss"
    where = found[-1].replace("MultiHeadDotProductAttention_0", "Attention")
    return f"{where}, backward" if "transpose(" in op_name else where
