"""The commands of the documents run: all that `test_snippets` does not except."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bucket import storage
from tests.cli.test_cli import every_command
from tests.commands import run_all, shorter
from tests.desk import lay_desk
from tests.hosts import environment, free_port
from tests.shell import DOCUMENTS, ROOT, Snippet, type_all, type_document
from tests.stand_ins import small_models, stand_in, stand_in_for_urls
from vit_jax import weights
from vit_jax.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The folder that a reader works in, and nothing beyond it."""
    stand_in(monkeypatch, tmp_path)
    return tmp_path


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


HOST = """
import sys
from tests.stand_ins import small_models
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
        weights.fetch_weights("imagenet21k/ViT-B_16")  # the hosts find it in the cache
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
