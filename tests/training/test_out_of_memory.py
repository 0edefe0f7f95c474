"""Running out of memory is one line: what fills the memory, and what to change."""

import re
import types
from typing import Any

import jax
import pytest

from tests.runs import TINY, change, program_on
from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.training.loop import train
from vit_jax.training.memory import CountedMemory
from vit_jax.training.out_of_memory import describe_memory, explain_out_of_memory


def line_of(config: Config, error: Exception, num_devices: int = 8) -> str:
    program, mesh = program_on(config, num_devices, num_classes=10)
    with (
        pytest.raises(ConfigError) as raised,
        explain_out_of_memory(config, program.abstract_state, mesh, 10),
    ):
        raise error
    return str(raised.value)


FULL = jax.errors.JaxRuntimeError(
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 30.52GiB.\n<a dump>"
)


def test_activations_are_named_first_where_they_are_the_most():
    config = change(TINY, data={"batch_size": 512})
    line = line_of(config, FULL)
    assert re.search(
        r"out of memory: each .* must hold about \S+ .B: activations", line
    )
    assert "parameters" in line
    assert "optimizer state" in line
    assert "add --config.model.remat=full" in line
    assert "--config.train.accum_steps=2" in line
    assert "--config.model.dtype=bfloat16" in line
    assert "\n" not in line
    # What is set already is not advised.
    config = change(config, model={"remat": "full", "dtype": "bfloat16"})
    assert "add --config.train.accum_steps=2" in line_of(config, FULL)


def test_the_state_is_cut_where_it_is_the_most():
    config = change(TINY, model={"hidden_size": 256, "mlp_dim": 1024})
    line = line_of(config, FULL)
    assert re.search(r"about \S+ MB: (parameters|gradients)", line)
    assert "add --config.mesh.preset=fsdp" in line
    assert "preset=fsdp" in line_of(change(config, mesh={"preset": "fsdp"}), FULL, 1)


def test_a_gpu_has_more_than_jax_takes(monkeypatch):
    device = types.SimpleNamespace(
        platform="gpu",
        device_kind="NVIDIA H100 80GB HBM3",
        memory_stats=lambda: {"bytes_limit": 60e9},
    )
    shape = {"data": 1, "fsdp": 1, "tensor": 1}
    mesh: Any = types.SimpleNamespace(local_devices=[device], size=1, shape=shape)
    counted = CountedMemory(9, 2, 9, 10**9, 1)
    line = describe_memory(TINY, counted, mesh)
    assert "NVIDIA H100 80GB HBM3 device of 60.0 GB must hold about 1.0 GB" in line
    assert "or XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 before the command" in line
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.9")
    assert "XLA_PYTHON" not in describe_memory(TINY, counted, mesh)


def test_other_errors_pass():
    program, mesh = program_on(TINY, 1, num_classes=10)
    for error in (ConfigError("RESOURCE_EXHAUSTED"), ValueError("x"), KeyError("y")):
        with (
            pytest.raises(type(error)) as raised,
            explain_out_of_memory(TINY, program.abstract_state, mesh, 10),
        ):
            raise error
        assert raised.value is error


def test_a_run_whose_attention_is_too_large_says_so(tmp_path):
    """For real: 262,145 tokens, whose scores need terabytes."""
    config = change(
        TINY,
        data={"image_size": (512, 512), "batch_size": 8},
        model={"patch_size": (1, 1), "num_layers": 1},
        train={"total_steps": 3},
        optim={"warmup_steps": 0},
    )
    with pytest.raises(ConfigError, match=r"^out of memory: .*: activations [\d.]+ GB"):
        train(config, tmp_path)
