"""`attend` against NumPy, and what the attention module adds."""

import dataclasses
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import tiny
from tests.trained import tiny_run
from vit_jax import models
from vit_jax.checkpoints.card import check_same_run, read_card
from vit_jax.checkpoints.load import load
from vit_jax.config import Config, MeshConfig, ModelConfig
from vit_jax.config.typed import from_dict
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.models.attention import Attention, attend
from vit_jax.plan.topology import name_devices

KEYS = jax.random.split(jax.random.key(0), 4)
Q = jax.random.normal(KEYS[0], (2, 5, 3, 4))
K = jax.random.normal(KEYS[1], (2, 6, 3, 4))
V = jax.random.normal(KEYS[2], (2, 6, 3, 4))
BIAS = jax.random.normal(KEYS[3], (2, 3, 5, 6))


def by_loops(bias: np.ndarray | None) -> np.ndarray:
    q, k, v = (np.asarray(x, np.float64) for x in (Q, K, V))
    out = np.zeros(q.shape)
    for b, n, h in np.ndindex(q.shape[:3]):
        logits = k[b, :, h] @ q[b, n, h] / np.sqrt(4)
        if bias is not None:
            logits = logits + bias[b, h, n]
        weights = np.exp(logits) / np.exp(logits).sum()
        out[b, n, h] = weights @ v[b, :, h]
    return out


def test_attend() -> None:
    np.testing.assert_allclose(attend(Q, K, V), by_loops(None), atol=2e-6)
    biased = attend(Q, K, V, bias=BIAS)
    np.testing.assert_allclose(biased, by_loops(np.asarray(BIAS)), atol=2e-6)


def test_attend_in_bfloat16_keeps_its_dtype() -> None:
    half = [x.astype(jnp.bfloat16) for x in (Q, K, V)]
    out = attend(*half, bias=BIAS.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    expected = by_loops(np.asarray(BIAS))
    np.testing.assert_allclose(out.astype(jnp.float32), expected, atol=0.05)


def test_dropout_of_the_weights() -> None:
    """With values 1, the output is the sum of the weights that were kept."""
    q, k = jnp.zeros((1, 50, 2, 4)), jnp.zeros((1, 40, 2, 4))
    out = attend(
        q,
        k,
        jnp.ones_like(k),
        dropout_rate=0.25,
        deterministic=False,
        dropout_rng=jax.random.key(0),
    )
    kept = np.asarray(out[..., 0]) * 40 * 0.75  # uniform weights of 1 / 40, scaled up
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-4)
    assert abs(kept.mean() / 40 - 0.75) < 0.02
    assert len(np.unique(np.round(kept))) > 5  # queries and heads by themselves
    untouched = attend(q, k, jnp.ones_like(k), dropout_rate=0.25, deterministic=True)
    np.testing.assert_allclose(untouched, 1, rtol=1e-6)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (5, 6), (6, 5), (5, 5)])
def test_the_fused_kernel_is_asked_for_the_same_numbers(
    monkeypatch, queries: int, keys: int, with_bias: bool
) -> None:
    """Its arguments, given to JAX's own formula: a chip that has it is not here."""
    asked = []

    def by_jax(q, k, v, bias, *, implementation, **lengths):
        asked.append((implementation, q.shape[1], k.shape[1]))
        return dot_product_attention(q, k, v, bias, implementation="xla", **lengths)

    dot_product_attention = jax.nn.dot_product_attention
    monkeypatch.setattr(jax.nn, "dot_product_attention", by_jax)
    rng = np.random.default_rng(0)
    q, k, v, weights = (
        jnp.asarray(rng.normal(size=(2, tokens, 3, 4)), jnp.float32)
        for tokens in (queries, keys, keys, queries)
    )
    bias = jnp.asarray(rng.normal(size=(2, 3, queries, keys)), jnp.float32)

    def loss(args, impl):
        q, k, v, bias = args
        out = attend(q, k, v, bias=bias if with_bias else None, impl=impl)
        assert out.shape == q.shape
        return (out * weights).sum()

    for function in (loss, jax.grad(loss)):
        ours, theirs = (function((q, k, v, bias), impl) for impl in ("xla", "cudnn"))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs
        )
    # JAX differentiates the kernel for even numbers of tokens alone.
    assert asked == [("cudnn", queries + queries % 2, keys + keys % 2)] * 2


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (5, 5), (1, 7)])
@pytest.mark.parametrize("rope", [False, True])
def test_the_module_pads_for_the_fused_kernel(
    monkeypatch, queries: int, keys: int, rope: bool
) -> None:
    """Output, gradients and the weights that are shown: as without the kernel."""
    if rope and queries != keys:
        pytest.skip("one table of angles, for queries and keys")

    def by_jax(*args, implementation, **lengths):
        assert args[0].shape[1] % 2 == args[1].shape[1] % 2 == 0
        return dot_product_attention(*args, implementation="xla", **lengths)

    dot_product_attention = jax.nn.dot_product_attention
    monkeypatch.setattr(jax.nn, "dot_product_attention", by_jax)
    x = jax.random.normal(jax.random.key(1), (2, queries, 8))
    y = x if queries == keys else jax.random.normal(jax.random.key(2), (2, keys, 8))
    angles = jax.random.normal(jax.random.key(3), (queries, 2)) if rope else None
    config = ModelConfig(num_heads=2, posemb="none")
    params = Attention(config).init(jax.random.key(4), x, y, False, angles)
    params = {"params": jax.tree.map(lambda p: p + 0.1, params["params"])}

    def run(impl: str) -> Any:
        attention = Attention(dataclasses.replace(config, attention=impl))

        def loss(params, x, y):
            out, sown = attention.apply(
                params, x, y, False, angles, mutable=["attention"]
            )
            return (out**2).sum(), (out, sown)

        return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, x, y)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5),
        run("xla"),
        run("cudnn"),
    )


CUDNN = ModelConfig(
    variant="ViT-B/16", dtype="bfloat16", attention="cudnn", posemb="learned"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": "flash"}, 'attention must be one of xla, cudnn, got "flash"'),
        (
            {"dtype": "float32"},
            "dtype must be bfloat16 or float16 with attention cudnn",
        ),
        ({"attention_dropout_rate": 0.1}, "attention_dropout_rate must be 0 with"),
        ({"posemb": "relative"}, "posemb must be one without a bias with attention"),
        (
            {"num_heads": 4},
            "num_heads must be a multiple of 8, at most 128, .* got 192",
        ),
        ({"variant": "Mixer-B/16"}, "attention must be xla in the family mixer"),
    ],
)
def test_what_the_fused_kernel_cannot_do_is_told(change, message) -> None:
    models.resolve_model(CUDNN)
    with pytest.raises(ConfigError, match=message):
        models.resolve_model(dataclasses.replace(CUDNN, **change))


def test_the_fused_kernel_needs_its_chip() -> None:
    for devices in (jax.devices(), name_devices("H100", 1)):
        mesh = make_mesh(MeshConfig(), devices)
        models.check_devices(dataclasses.replace(CUDNN, attention="xla"), mesh)
        with pytest.raises(ConfigError, match=r"attention must be xla for .*leave it"):
            models.check_devices(CUDNN, mesh)


def test_a_checkpoint_is_the_same_under_any_implementation(tmp_path) -> None:
    """A run of the fused kernel goes on, and is used, where there is none."""
    shutil.copytree(tiny_run(), tmp_path / "run")
    (file,) = tmp_path.glob("run/checkpoints/*/card/metadata")
    file.write_text(
        file.read_text().replace('attention": "xla"', 'attention": "cudnn"')
    )
    card = read_card(tmp_path / "run")
    assert card is not None
    assert card["config"]["model"]["attention"] == "cudnn"
    config = from_dict(Config, card["config"], "card")
    plain = dataclasses.replace(config.model, attention="xla")
    config = dataclasses.replace(config, model=plain)
    names = tuple(card["class_names"])
    assert check_same_run(card, config, card["num_classes"], names) == []
    assert load(tmp_path / "run").config.attention == "xla"


def test_qk_norm_makes_the_size_of_queries_and_keys_irrelevant() -> None:
    x = jax.random.normal(jax.random.key(1), (1, 7, 8))
    attention = Attention(tiny(qk_norm=True))
    params: Any = attention.init(jax.random.key(2), x, x, False)["params"]
    assert params["query_ln"]["scale"].shape == (4,)
    scaled = dict(params)
    for name in ("query", "key"):
        scaled[name] = jax.tree.map(lambda p: 10 * p, params[name])
    a: Any = attention.apply({"params": params}, x, x, False)
    b: Any = attention.apply({"params": scaled}, x, x, False)
    np.testing.assert_allclose(a, b, atol=1e-4)
