"""Options reach the compiler of their platform, and no other."""

import types

import jax
import numpy as np
import pytest

from tests.runs import TINY, program_on
from vit_jax.mesh import compiler


def mesh_of(platform):
    device = types.SimpleNamespace(platform=platform)
    return types.SimpleNamespace(devices=np.array([device], dtype=object))


def test_options_are_of_the_platform():
    for platform in ("cpu", "gpu", "tpu"):
        options = compiler.make_compiler_options(mesh_of(platform))
        assert options == compiler.OPTIONS[platform]
    assert compiler.make_compiler_options(mesh_of("other")) == {}


def test_an_option_that_the_cpus_compiler_has_lost_is_left_out(monkeypatch):
    kept = compiler.OPTIONS["cpu"]
    monkeypatch.setitem(compiler.OPTIONS, "cpu", kept | {"xla_no_such_option": 1})
    assert compiler.make_compiler_options(mesh_of("cpu")) == kept


def test_the_steps_are_compiled_with_them(monkeypatch):
    monkeypatch.setitem(compiler.OPTIONS, "cpu", {"xla_no_such_option": 1})
    monkeypatch.setattr(compiler, "_is_known", lambda name, value: True)
    program, _ = program_on(TINY, 1, num_classes=10)
    size = (32, 8, 8, 3)
    batch = {
        "image": jax.ShapeDtypeStruct(size, "uint8"),
        "label": jax.ShapeDtypeStruct((32,), "int32"),
        "mask": jax.ShapeDtypeStruct((32,), "bool"),
    }
    state = program.abstract_state
    for lowered in (
        program.train_step.lower(state, {k: batch[k] for k in ("image", "label")}),
        program.eval_step.lower(state.evaluated, batch),
    ):
        with pytest.raises(Exception, match="xla_no_such_option"):
            lowered.compile()
