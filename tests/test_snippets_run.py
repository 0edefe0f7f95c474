"""All that a reader can copy from the documents runs, as it is written.

A command is made cheaper where that does not change what it shows: see `CHEAPER`.
"""

import contextlib
import doctest
import functools
import importlib
import importlib.util
import math
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from tests.bucket import storage
from tests.desk import (
    RUNS,
    SMALL_BATCH,
    lay_desk,
    one_device,
    small_models,
    stand_in,
    stand_in_for_urls,
)
from tests.hosts import environment, free_port
from tests.shell import (
    DOCUMENTS,
    ROOT,
    Call,
    Snippet,
    blocks,
    type_all,
    type_document,
)
from tests.test_cli import every_command
from vit_jax import weights
from vit_jax.bench import bench
from vit_jax.cli import _make_parser, main
from vit_jax.config import DataConfig
from vit_jax.config_file import load_config
from vit_jax.plan import make_plan
from vit_jax.plan.topology import name_devices

CHEAPER: dict[str, Callable[[list[str]], list[str]]] = {
    "train": lambda words: shorter(words),
    "bench": lambda _: ["--repeats=1", "--seconds=0.01", *SMALL_BATCH],
    "plan": lambda _: ["--no_compile"],
}


def shorter(words: list[str]) -> list[str]:
    """Returns what makes a run one of few small images, and few updates."""
    is_small = any("digits" in word for word in words)  # as it is
    more = [] if is_small else [*SMALL_BATCH]
    if not any("total_" in word for word in words):
        more.append("--config.train.total_steps=1")
    sizes = "image_size", "mixer"  # a Mixer has no other
    if not is_small and not any(name in word for word in words for name in sizes):
        more.append("--config.data.image_size=64")
    return more


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The folder that a reader works in, and nothing beyond it."""
    stand_in(monkeypatch, tmp_path)
    if not importlib.util.find_spec("tensorflow"):
        found = types.SimpleNamespace(import_module=lambda _: None)
        monkeypatch.setattr("vit_jax.data.tfds.importlib", found)
    if not importlib.util.find_spec("libtpu"):
        monkeypatch.setattr("vit_jax.plan.estimate.describe_tpu", named_tpu)
    return tmp_path


def named_tpu(topology: str) -> Any:
    """Stands for libtpu, where nothing is compiled."""
    chip, _, sides = topology.partition(":")
    return name_devices(chip, math.prod(map(int, sides.split("x"))))


def run(call: Call) -> None:
    """Runs one of our commands; whatever is wrong is told with its line."""
    words = [
        *call.arguments,
        *CHEAPER.get(call.arguments[0], lambda _: [])(call.arguments),
    ]
    if words[0] == "train" and "--show" not in words:  # a first run of it
        arguments, overrides = _make_parser().parse_known_args(words)
        name = load_config(arguments.config, overrides).name
        shutil.rmtree(arguments.workdir or Path("runs") / name, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        if words[0] != "plan" or "--search" in words:  # shapes cost nothing
            stack.enter_context(small_models())
        if "--config.mesh." not in call.line:
            stack.enter_context(one_device())
        try:
            code = main(words)
        except SystemExit as error:
            code = error.code
    # Where nothing is asked but whether a run fits, "no" is an answer.
    assert code in ((0, 1) if words[0] == "plan" else (0,)), f"{call.at}: {call.line}"


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


def ours(calls: list[Call]) -> list[Call]:
    """Returns the calls of this package, each once."""
    return [*{c.line: c for c in calls if c.program == "vit-jax"}.values()]


def run_all(calls: list[Call], capsys) -> None:
    failures = []
    for call in ours(calls):
        if "--coordinator" in call.line:
            continue  # by a test of its own
        try:
            run(call)
        except AssertionError as error:
            failures.append(f"{error}\n{capsys.readouterr().err}")
    assert not failures, "\n".join(failures)


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_commands_run(path, here, monkeypatch, capsys):
    lay_desk(here, path.read_text())
    calls = type_document(path, here)
    if any("://" in call.line for call in calls):
        stand_in_for_urls(monkeypatch)
    with storage("my-bucket") as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        run_all(calls, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_examples_of_help_run(words, here, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    text = capsys.readouterr().out.partition("examples:\n")[2].partition("\n\n")[0]
    lay_desk(here, text)
    if "://" in text:
        stand_in_for_urls(monkeypatch)
    snippet = Snippet("--help", "sh", text)
    run_all(type_all([snippet], here), capsys)


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
        "bench": functools.partial(bench, repeats=1, seconds=0.01),
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


# Several hosts ------------------------------------------------------------------------

HOST = """
import sys
from tests.desk import small_models
from vit_jax.cli import main
with small_models():
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_commands_for_several_hosts_meet(here):
    """Each as it is written for host 0, and once more for host 1; both are this one."""
    path = ROOT / "docs" / "cloud.md"
    lay_desk(here, "")
    calls = [c for c in type_document(path, here) if "--coordinator=" in c.line]
    assert len(calls) == 2, "Kubernetes, and by hand"
    with small_models():
        weights.fetch("imagenet21k/ViT-B_16")  # the hosts find it in the cache
    for call in calls:
        words = [*call.arguments, *shorter(call.arguments), f"--workdir={call.at}"]
        words.append(f"--coordinator=127.0.0.1:{free_port()}")
        hosts = [
            subprocess.Popen(
                [sys.executable, "-c", HOST, *words, *more],
                env=environment(1) | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for more in ([], ["--process_id=1"])
        ]  # fmt: skip
        try:
            said = [host.communicate(timeout=120)[0] for host in hosts]
        finally:
            for host in hosts:
                host.kill()
        assert [host.returncode for host in hosts] == [0, 0], said
        assert "done in" in said[0]
        assert "2 processes" in Path(call.at, "events.jsonl").read_text()
