"""All that a reader can copy from the documents is known, and is understood.

`test_snippets_run` and `test_snippets_python` run it. This is the fast part: a shell
takes it, every option and every key of a config is there, and what is not run has a
reason.
"""

import contextlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import every_command
from tests.desk import lay_clone
from tests.shell import (
    DOCUMENTS,
    ROOT,
    Call,
    blocks,
    is_template,
    sentences,
    type_document,
)
from vit_jax.cli import _make_parser
from vit_jax.config.durations import resolve_steps
from vit_jax.config.file import load_config
from vit_jax.errors import ConfigError
from vit_jax.training.resolve import resolve_config

# What ends at a stand-in, as it is written -> why it is not run.
_CLOUD = "acts on an account of Google Cloud; the document says that it was not run"
_CLUSTER = "asks a cluster; the job in the file that it names is typed"
_THEIRS = "the other library's command, beside ours"
_LONG = "minutes to hours; tests hold the documents to the results it wrote"
_LINT = "a tool of this repository, on the whole of it"
NOT_HERE = {
    "gcloud storage buckets create gs://my-bucket --location=LOCATION "
    "--uniform-bucket-level-access": _CLOUD,
    "gcloud storage buckets add-iam-policy-binding gs://my-bucket "
    "--role=roles/storage.objectUser --member=serviceAccount:ACCOUNT": _CLOUD,
    "gcloud storage buckets add-iam-policy-binding gs://my-bucket "
    "--role=roles/storage.legacyBucketReader --member=serviceAccount:ACCOUNT": _CLOUD,
    "gcloud auth application-default login": _CLOUD,
    "gcloud compute tpus tpu-vm create vit --zone=us-east5-b --accelerator-type=v6e-8 "
    "--version=v2-alpha-tpuv6e": _CLOUD,
    "gcloud compute tpus queued-resources create vit --zone=us-east5-b --node-id=vit "
    "--accelerator-type=v6e-8 --runtime-version=v2-alpha-tpuv6e": _CLOUD,
    "gcloud compute tpus tpu-vm scp --recurse --worker=all": _CLOUD,
    "gcloud compute tpus tpu-vm delete vit --zone=us-east5-b": _CLOUD,
    "gcsfuse --implicit-dirs my-bucket ~/runs": _CLOUD,
    "gcsfuse --implicit-dirs my-bucket data": _CLOUD,
    "git clone REPOSITORY vit_jax": _CLOUD,
    "tail -f log": _CLOUD,
    "tail -F slurm-*.out": _CLUSTER,
    "kubectl apply -f vit.yaml": _CLUSTER,
    "kubectl logs -f job/vit": _CLUSTER,
    "python -m vit_jax.main --config=vit_jax/configs/vit.py:b16,cifar10 --workdir=W":
        _THEIRS,
    "python -m vit_jax.main --config=vit_jax/configs/inference_time.py --workdir=W":
        _THEIRS,
    "python benchmarks/peers.py": _LONG,
    "python benchmarks/gpu.py": _LONG,
    "python benchmarks/input.py": _LONG,
    "python benchmarks/augment.py": _LONG,
    "python benchmarks/load.py": _LONG,
    "python benchmarks/plan.py": _LONG,
    "mkdocs serve": "serves for ever; the site is built by a test",
    "pytest -n auto": _LINT,
    "pytest -n auto -m not slow": _LINT,
    "ruff check .": _LINT,
    "ruff format --check .": _LINT,
    "ruff check --fix .": _LINT,
    "ruff format .": _LINT,
    "pyright --pythonpath .venv/bin/python": _LINT,
    "mkdocs build --strict --quiet": _LINT,
    "pip install --quiet --disable-pip-version-check build twine": _LINT,
    "python -m build": _LINT,
    "twine check --strict dist/*": _LINT,
}  # fmt: skip


def plain(call: Call, here: Path) -> str:
    """Returns a call as it was written, if bash had not put the home folder in."""
    return call.line.replace(str(here / "home"), "~")


@contextlib.contextmanager
def told_with(line: str) -> Iterator[None]:
    try:
        yield
    except (ConfigError, SystemExit) as error:
        raise AssertionError(f"{line}: {error}") from error


def check(call: Call, here: Path) -> None:
    """Checks what needs no computation, and what is run nowhere."""
    line = plain(call, here)
    if call.program == "pip":
        extras = re.findall(r"\[(.*)\]", line)
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for extra in ",".join(extras).split(",") if extras else ():
            assert extra in known["optional-dependencies"], f"{call.at}: {line}"
        return
    if call.program != "vit-jax":
        assert line in NOT_HERE, f"{call.at}: {line} must run, or have a reason"
        if " benchmarks/" in line:
            assert (ROOT / call.arguments[0]).exists()
        return
    arguments, overrides = _make_parser().parse_known_args(call.arguments)
    if "config" not in arguments:
        assert not overrides, f"{call.at}: {line}"
        return
    config = load_config(arguments.config, overrides)
    if call.arguments[0] == "train":
        config = resolve_config(config)
        for num_examples in (100, 50_000):
            assert resolve_steps(config, num_examples).total > 0, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_a_shell_and_the_program_understand(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay_clone(tmp_path)
    for call in type_document(path, tmp_path):
        with told_with(f"{call.at}: {call.line}"):
            check(call, tmp_path)


def test_what_is_not_run_is_still_written(tmp_path):
    said = set()
    for path in DOCUMENTS:
        here = tmp_path / path.name
        here.mkdir()
        lay_clone(here)
        said |= {plain(call, here) for call in type_document(path, here)}
    assert not set(NOT_HERE) - said


def test_every_block_is_of_a_kind_that_runs():
    found = [block for path in DOCUMENTS for block in blocks(path)]
    assert {block.language for block in found} == {"sh", "python", "yaml", "text"}
    for block in found:
        if block.language == "text":
            assert "vit-jax" not in block.body, block.at
    fences = sum(path.read_text().count("```") for path in DOCUMENTS)
    assert fences == 2 * len(found)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_names_of_commands_and_overrides_in_sentences(path):
    names = {words[0] for words in every_command() if words}
    for at, _, code in sentences(path):
        if code.startswith("vit-jax ") and is_template(code):
            assert code.split()[1] in names | {"COMMAND"}, at
        if not code.startswith("--config.") or OTHERS.search(code):
            continue
        for word in shlex.split(code):
            if not re.search(r"=[A-Z]+$|=\w+:DIR$", word):  # a placeholder
                with told_with(at):
                    load_config("configs/vit_b16.py:folder", [SOURCE, word])


# Of other libraries.
OTHERS = re.compile(
    r"--config\.(pp|batch|base_lr|total_steps|eval_every|dataset|pretrained_dir"
    r"|tfds_data_dir)\b"
)
SOURCE = "--config.data.source=digits"
