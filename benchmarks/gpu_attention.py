"""Attention by itself: is it right on this device, and how long does a layer take."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_options import REHEARSE, REPEATS, SECONDS, short

from vit_jax.bench.timing import time_calls
from vit_jax.models.attention import IMPLEMENTATIONS, attend


def attention() -> dict[str, Any]:
    """Every implementation in bfloat16 against NumPy in float64; and its time.

    ``error`` is the norm of the difference over the norm of the reference, of the
    output and the gradients. Times are of a layer of B/16, 1,024 images.
    """
    rows = []
    shapes = [(196, 12, 64), (197, 12, 64), (198, 12, 64), (577, 12, 64), (257, 16, 80)]
    for tokens, heads, width in shapes:
        batch = 1 if tokens > 300 or REHEARSE else 4
        q, k, v, cotangent = random_heads((batch, tokens, heads, width))
        expected = reference(*(np.asarray(x, np.float64) for x in (q, k, v, cotangent)))
        for impl in IMPLEMENTATIONS:
            row: dict[str, Any] = {"impl": impl, "tokens": tokens, "width": width}
            try:
                found = jax.jit(functools.partial(both_ways, impl=impl))(
                    q, k, v, cotangent
                )
                row["error"] = {
                    name: relative_error(x, y)
                    for name, x, y in zip(
                        ("out", "dq", "dk", "dv"), found, expected, strict=True
                    )
                }
            except Exception as error:  # noqa: BLE001  (a kernel that is refused)
                row["error"] = short(error)
            rows.append(row)
    for impl in IMPLEMENTATIONS:
        call = functools.partial(attend, impl=impl)
        rows.append({"impl": impl, "tokens": 197, **time_attention(call, 197)})
    return {"rows": rows}


def random_heads(shape: tuple[int, ...]) -> list[jax.Array]:
    keys = jax.random.split(jax.random.key(sum(shape)), 4)
    return [jax.random.normal(key, shape, jnp.bfloat16) for key in keys]


def both_ways(q: Any, k: Any, v: Any, cotangent: Any, impl: str) -> tuple[Any, ...]:
    out, back = jax.vjp(functools.partial(attend, impl=impl), q, k, v)
    return (out, *back(cotangent))


def reference(q: Any, k: Any, v: Any, cotangent: Any) -> tuple[Any, ...]:
    """Attention and its gradients, written out."""
    scale = q.shape[-1] ** -0.5
    logits = np.einsum("bnke,bske->bkns", q, k, optimize=True) * scale
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    out = np.einsum("bkns,bske->bnke", weights, v, optimize=True)
    dv = np.einsum("bkns,bnke->bske", weights, cotangent, optimize=True)
    dw = np.einsum("bnke,bske->bkns", cotangent, v, optimize=True)
    ds = weights * (dw - (dw * weights).sum(-1, keepdims=True)) * scale
    dq = np.einsum("bkns,bske->bnke", ds, k, optimize=True)
    dk = np.einsum("bkns,bnke->bske", ds, q, optimize=True)
    return out, dq, dk, dv


def relative_error(found: Any, expected: np.ndarray) -> float:
    difference = np.asarray(found, np.float64) - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


def time_attention(call: Callable[..., Any], tokens: int) -> dict[str, float]:
    """Milliseconds of a layer of B/16, 1,024 images, without and with its gradient."""
    shape = (2, 16, 2, 64) if REHEARSE else (1024, tokens, 12, 64)
    q, k, v, cotangent = random_heads(shape)

    def with_gradient(q: Any, k: Any, v: Any, cotangent: Any) -> Any:
        out, back = jax.vjp(call, q, k, v)
        return out, back(cotangent)

    found = {}
    for name, function, args in (
        ("forward_ms", call, (q, k, v)),
        ("both_ms", with_gradient, (q, k, v, cotangent)),
    ):
        step = jax.jit(function)

        def run(calls: int, step: Any = step, args: Any = args) -> None:
            last = None  # alone: all outputs together would fill the memory
            for _ in range(calls):
                last = step(*args)
            jax.block_until_ready(last)

        timed = time_calls(run, 1, REPEATS, SECONDS / 10)
        found[name] = 1e3 * timed["seconds_per_call"]
    return found


def padding() -> dict[str, Any]:
    """Times cuDNN's attention of 197 tokens, padded to several lengths."""
    rows = []
    for length in (196, 197, 198, 200, 208, 224, 256):
        row: dict[str, Any] = {"padded_to": length}
        try:
            tokens = min(length, 197)
            row |= time_attention(functools.partial(pad_to, length=length), tokens)
        except Exception as error:  # noqa: BLE001  (a kernel that is refused)
            row["error"] = short(error)
        rows.append(row)
    return {"rows": rows}


def pad_to(q: Any, k: Any, v: Any, length: int) -> jax.Array:
    """Fused attention, padded to a length with the true lengths told."""
    fused = functools.partial(jax.nn.dot_product_attention, implementation="cudnn")
    batch, tokens = q.shape[:2]
    if length <= tokens:
        return fused(q, k, v)
    by = ((0, 0), (0, length - tokens), (0, 0), (0, 0))
    q, k, v = (jnp.pad(x, by) for x in (q, k, v))
    lengths = jnp.full((batch,), tokens, jnp.int32)
    out = fused(q, k, v, query_seq_lengths=lengths, key_value_seq_lengths=lengths)
    return out[:, :tokens]
