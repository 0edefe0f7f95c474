"""The Python of the documents runs, and the examples that the API's pages show."""

import doctest
import functools
import importlib
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from tests.commands import run
from tests.desk import RUNS, lay_desk
from tests.shell import DOCUMENTS, ROOT, Call, blocks
from tests.stand_ins import one_device, small_models, stand_in
from vit_jax.bench import run_bench
from vit_jax.config import DataConfig, choices
from vit_jax.config.file import load_config
from vit_jax.plan import make_plan


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The folder that a reader works in, and nothing beyond it."""
    stand_in(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    """What an example registers is forgotten after it."""
    for table in vars(choices).values():
        if isinstance(table, choices.Choices):
            monkeypatch.setattr(table, "_rows", dict(table._rows))


def api_examples() -> list[str]:
    """Returns what `docs/api.md` shows that has an example."""
    text, found = (ROOT / "docs" / "api.md").read_text(), []
    for name, members in re.findall(
        r"^::: ([\w.]+)$(?:\n    options:\n      members: \[(.*)\])?",
        text,
        re.MULTILINE,
    ):
        found += (
            [f"{name}.{member}" for member in members.split(", ")]
            if members
            else [name]
        )
    return [name for name in found if ">>> " in (_object(name).__doc__ or "")]


def _object(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if blocks(p, "python")], ids=lambda p: p.name
)
def test_python_runs(path, here):
    lay_desk(here, path.read_text())
    names: dict[str, Any] = {}
    with small_models(), one_device():
        for block in blocks(path, "python"):
            body = block.body.replace("total_epochs=20", "total_epochs=1")  # sooner
            exec(compile(body, block.at, "exec"), names)  # noqa: S102, our own
            if "get_config" in body:
                (here / "mine.py").write_text(body)
                run(Call(block.at, "vit-jax", ["train", "--config=mine.py:32"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", api_examples())
def test_examples_of_the_api_run(name, here):
    """Those of docstrings that the site shows, and what they print where they say it."""
    module, _, attribute = name.rpartition(".")
    found = vars(importlib.import_module(module))
    text = found[attribute].__doc__
    lay_desk(here, text)
    cheaper = {
        "load_config": lambda path: load_config(path, RUNS["digits"][1]),
        "run_bench": functools.partial(run_bench, repeats=1, seconds=0.01),
        "make_plan": functools.partial(make_plan, compiled=False),
        "images": jnp.zeros((1, 384, 384, 3)),
        "data": DataConfig(source="digits", image_size=(8, 8), batch_size=8),
    }
    (test,) = doctest.DocTestFinder(recurse=False).find(
        found[attribute], name, globs=found | cheaper
    )
    assert test.examples
    told: list[str] = []
    with small_models(), one_device():
        doctest.DocTestRunner(checker=WhatIsSaid()).run(test, out=told.append)
    assert not told, "".join(told)


class WhatIsSaid(doctest.OutputChecker):
    """Compares what an example prints with what it says, if it says anything."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)
