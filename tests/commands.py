"""Runs the commands of the documents in this process, as written but for their size."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.desk import SMALL_BATCH
from tests.shell import Call
from tests.stand_ins import one_device, small_models
from vit_jax.cli import _make_parser, main
from vit_jax.config.file import load_config

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
