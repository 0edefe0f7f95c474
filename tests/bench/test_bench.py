"""What a bench counts: calls, waits, rates, compilations."""

import dataclasses
import json
import re
import types

import jax
import jax.numpy as jnp
import pytest

from tests.runs import TINY, change
from vit_jax.bench import format_bench, measure, run_bench
from vit_jax.bench.phases import measure_peak_memory, time_inference
from vit_jax.bench.timing import compile_twice, time_calls
from vit_jax.config import MeshConfig
from vit_jax.config.choices import Choices
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.models.flops import count_inference_flops, count_training_flops
from vit_jax.training.resolve import resolve_config


class Clock:
    """Time passes when a call is made, and only then."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds, self.runs = 0.0, iter(seconds), []
        monkeypatch.setattr("vit_jax.bench.timing.time.perf_counter", lambda: self.now)

    def run(self, calls):
        self.runs.append(calls)
        self.now += calls * next(self.seconds)


def test_rates_are_items_over_seconds(monkeypatch):
    # Compilation, then 0.5 s a call, then four repeats.
    clock = Clock(monkeypatch, [60.0, 0.5, 0.5, 1.0, 0.25, 0.5])
    timed = time_calls(clock.run, items=32, repeats=4, seconds=2.0)
    assert clock.runs == [1, 1, 4, 4, 4, 4]
    assert timed["rate"] == pytest.approx(64)  # median of 64, 32, 128, 64
    assert timed["quartiles"] == pytest.approx([56, 80])
    assert timed["seconds_per_call"] == pytest.approx(0.5)
    assert (timed["calls"], timed["repeats"]) == (4, 4)


def test_inference_is_laid_out_as_an_evaluation_is(monkeypatch):
    """The layers' stream is cut over the mesh, not left to what XLA would inherit."""
    texts = []

    def keep_text(lower):
        texts.append(lower().as_text())
        raise InterruptedError

    monkeypatch.setattr("vit_jax.bench.phases.compile_twice", keep_text)
    config = resolve_config(change(TINY, model={"num_layers": 2}))
    mesh = make_mesh(MeshConfig(preset="fsdp_tp"))
    with pytest.raises(InterruptedError):
        time_inference(config, mesh, 10, 1, 1.0)
    cuts = re.findall(r"sharding_constraint|custom_call @Sharding", texts[0])
    assert len(cuts) >= 3  # before the first layer, and after each


def test_a_slow_call_is_made_once_a_repeat(monkeypatch):
    clock = Clock(monkeypatch, [60.0, 9.0, 8.0, 8.0])
    timed = time_calls(clock.run, items=8, repeats=2, seconds=1.0)
    assert clock.runs == [1, 1, 1, 1]
    assert timed["rate"] == pytest.approx(1)


def test_the_second_compilation_comes_from_the_cache(tmp_path):
    events, before = [], jax.config.jax_compilation_cache_dir

    def listen(event: str, **_: str | int) -> None:
        events.append(event)

    jax.monitoring.register_event_listener(listen)

    def lower():
        return jax.jit(lambda x: jnp.sin(x) * 3.25).lower(jnp.ones(7))

    compiled, seconds = compile_twice(lower)
    assert events.count("/jax/compilation_cache/cache_hits") == 1
    assert compiled(jnp.ones(7)).shape == (7,)
    assert all(value > 0 for value in seconds.values())
    assert jax.config.jax_compilation_cache_dir == before


@pytest.fixture(scope="module")
def result():
    """A bench of the tiny run on two devices."""
    config = change(TINY, data={"eval_batch_size": 16}, train={"total_steps": 50})
    config = dataclasses.replace(config, mesh=MeshConfig(preset="fsdp"))
    devices = jax.devices()[:2]
    return run_bench(config, num_classes=10, repeats=3, seconds=0.01, devices=devices)


def test_a_bench_is_json_and_says_where_it_ran(result):
    assert json.loads(json.dumps(result))["device"]["mesh"]["fsdp"] == 2
    assert result["versions"]["jax"] == jax.__version__
    assert result["device"]["count"] == 2
    assert result["command"]


def test_rates_and_shares_agree(result):
    model = resolve_config(TINY).model
    for phase, count, batch_size in (
        ("train", count_training_flops, 32),
        ("inference", count_inference_flops, 16),
    ):
        part = result[phase]
        assert part["batch_size"] == batch_size
        assert part["flops_per_image"] == count(model, 10, (8, 8))
        rate = batch_size / part["seconds_per_call"]
        assert part["images_per_s"] == pytest.approx(rate)
        assert part["cpu_seconds_per_call"] > 0
        share = rate * part["flops_per_image"] / result["matrix_product"]["flops_per_s"]
        assert part["share_of_matrix_product"] == pytest.approx(share)
        assert part["mfu"] is None  # the CPU has no peak in the table
        assert part["compiler_memory"] > 0
    assert result["train"]["peak_memory"] is None  # nor does it count its memory


def test_mfu_is_against_the_tables_peak(monkeypatch):
    timed = {
        "rate": 100.0, "quartiles": [90.0, 110.0], "flops_per_image": 1e12,
    }  # fmt: skip
    rows = {"train": (lambda *_: dict(timed), "")}
    monkeypatch.setattr(measure, "PHASES", Choices("phase", "--phase", rows))
    monkeypatch.setattr("vit_jax.bench.measure.find_peak_rate", lambda *_: 400.0)
    part = run_bench(TINY, num_classes=10, phases=("train",), repeats=1, seconds=0.001)
    assert part["train"]["mfu"] == pytest.approx(0.25)


def test_report(result):
    text = format_bench(result)
    assert text.startswith("tiny, 8 x 8 pixels, float32\non 2 cpu")
    assert "train, batch 32" in text
    assert "inference, batch 16" in text
    assert "half of 3 repeats within" in text


def test_peak_memory_is_the_fullest_devices():
    def device(stats):
        return types.SimpleNamespace(memory_stats=lambda: stats)

    peaks = [device({"peak_bytes_in_use": 5}), device({"peak_bytes_in_use": 7})]
    assert measure_peak_memory(types.SimpleNamespace(local_devices=peaks)) == 7
    assert (
        measure_peak_memory(types.SimpleNamespace(local_devices=[device(None)])) is None
    )


def test_phases_are_known():
    with pytest.raises(ConfigError, match="phase must be one of train, inference"):
        run_bench(TINY, phases=("training",))
