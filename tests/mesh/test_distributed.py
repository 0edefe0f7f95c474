"""Several hosts: the same numbers, an orderly end, and a bounded one."""

import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.hosts import Hosts, environment, free_port
from tests.runs import TINY, change, file_of
from tests.training.test_train import assert_same_run, lines_of, params_of
from vit_jax.checkpoints.card import read_card
from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.distributed import AnyHost, exit_together, initialize
from vit_jax.mesh.sharding import find_batch_share, make_mesh
from vit_jax.training.loop import train

STEPS = 60  # long enough to be killed on the way

# A moment that bfloat16 rounds the other way would move a parameter by more than 2e-5.
CONFIG = change(
    TINY,
    optim={"accumulator_dtype": "float32", "learning_rate": 0.01},
    train={"total_steps": STEPS, "save_every_steps": 10},
)


def write_config(folder: Path, total_steps: int = STEPS) -> Path:
    path = folder / "tiny.py"
    path.write_text(file_of(change(CONFIG, train={"total_steps": total_steps})))
    return path


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory) -> Path:
    """The workdir of a whole run of two processes."""
    folder = tmp_path_factory.mktemp("two")
    ended = Hosts(write_config(folder), folder / "run", 2).end()
    assert [code for code, _ in ended] == [0, 0], ended
    # One logs, the other is silent but for Gloo.
    assert f"step {STEPS}/{STEPS}" in ended[0][1]
    assert "step" not in ended[1][1]
    return folder / "run"


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """The workdir of a run of two, of which one was killed."""
    folder = tmp_path_factory.mktemp("killed")
    hosts = Hosts(write_config(folder), folder / "run", 2)
    hosts.wait_for_checkpoint()
    hosts.send(1, signal.SIGKILL)
    started = time.monotonic()
    (code, output), (killed_code, _) = hosts.end()
    assert time.monotonic() - started < 30
    assert killed_code == -signal.SIGKILL
    assert code != 0
    assert "vit-jax: error: process 0 of 2" in output
    assert "repeat the command on every host" in output
    return folder / "run"


def assert_close_run(one: Path, other: Path) -> None:
    """Metrics and parameters to 2e-5: the order of sums differs."""
    ours, theirs = lines_of(one), lines_of(other)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=2e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max()),
        params_of(one)["Transformer"]["encoder_norm"],
        params_of(other)["Transformer"]["encoder_norm"],
    )


@pytest.mark.slow
def test_two_processes_equal_one(two_hosts, tmp_path):
    train(CONFIG, tmp_path)
    assert_close_run(two_hosts, tmp_path)


@pytest.mark.slow
def test_a_run_whose_peer_was_killed_resumes_bit_identical(two_hosts, killed, tmp_path):
    shutil.copytree(killed, tmp_path / "run")
    ended = Hosts(write_config(tmp_path), tmp_path / "run", 2).end()
    assert [code for code, _ in ended] == [0, 0], ended
    assert "resumed" in ended[0][1]
    assert_same_run(tmp_path / "run", two_hosts)


@pytest.mark.slow
@pytest.mark.parametrize(("num_processes", "num_devices"), [(1, 4), (4, 1)])
def test_resumes_on_other_hosts(
    two_hosts, killed, tmp_path, num_processes, num_devices
):
    shutil.copytree(killed, tmp_path / "run")
    config = write_config(tmp_path)
    ended = Hosts(config, tmp_path / "run", num_processes, num_devices).end(120)
    assert {code for code, _ in ended} == {0}, ended
    assert "resumed" in ended[0][1]
    assert_close_run(tmp_path / "run", two_hosts)


@pytest.mark.slow
def test_a_signal_to_one_host_saves_and_ends_all_at_one_step(tmp_path):
    hosts = Hosts(write_config(tmp_path, 100_000), tmp_path / "run", 2)
    hosts.wait_for_checkpoint()
    hosts.send(1, signal.SIGTERM)
    ended = hosts.end()
    assert [code for code, _ in ended] == [128 + signal.SIGTERM] * 2, ended
    card = read_card(tmp_path / "run")
    assert card is not None
    assert f"stopped and saved at step {card['step']}" in ended[0][1]
    assert card["step"] >= lines_of(tmp_path / "run")[-1]["step"]


@pytest.mark.slow
def test_the_loss_of_the_coordinator_is_told(tmp_path):
    hosts = Hosts(write_config(tmp_path, 100_000), tmp_path / "run", 2)
    step = hosts.wait_for_checkpoint()
    hosts.send(0, signal.SIGKILL)
    started = time.monotonic()
    _, (code, output) = hosts.end()
    assert time.monotonic() - started < 30
    assert code != 0
    assert "vit-jax: error: process 1 of 2" in output
    card = read_card(tmp_path / "run")
    assert card is not None
    assert card["step"] >= step


@pytest.mark.slow
def test_a_mistake_on_one_host_alone_ends_it_at_once(tmp_path):
    """It does not wait for the others, which wait for it in the first exchange."""
    config = write_config(tmp_path)
    source = '("folder:/nope" if "--process_id=1" in sys.argv else "digits")'
    text = config.read_text().replace("'source': 'digits'", f"'source': {source}")
    config.write_text(f"import sys\n{text}")
    hosts = Hosts(config, tmp_path / "run", 2)
    started = time.monotonic()
    assert hosts.processes[1].wait(timeout=60) == 2
    took = time.monotonic() - started
    (code, output), (_, mistake) = hosts.end()
    assert time.monotonic() - started - took < 30
    assert code != 0
    assert "vit-jax: error: process 0 of 2" in output
    assert "/nope" in mistake
    assert "coordination" not in mistake


@pytest.mark.slow
def test_a_peer_that_does_not_come_ends_the_wait():
    code = f"""
from vit_jax.mesh.distributed import initialize
initialize("127.0.0.1:{free_port()}", 2, 0, init_timeout=3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(1),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "not all processes connected to 127.0.0.1" in ended.stderr
    assert "within 3 s; start the command on every host" in ended.stderr


def test_flags_must_fit_each_other():
    with pytest.raises(
        ConfigError, match=r"HOST:PORT, got worker-0; try worker-0:8476"
    ):
        initialize("worker-0")


def test_alone_a_signal_is_answered_at_once():
    any_host = AnyHost(make_mesh(MeshConfig()))
    assert any_host(0) == 0
    assert any_host(15) == 15


def test_alone_an_error_passes_as_it_is():
    with pytest.raises(KeyError), exit_together():
        raise KeyError("Gloo")


@pytest.mark.parametrize(
    ("shape", "per_host", "shares"),
    [
        ((8, 1, 1), 4, [(0, 2), (1, 2)]),
        ((1, 4, 2), 4, [(0, 2), (1, 2)]),
        ((2, 1, 4), 2, [(0, 2), (0, 2), (1, 2), (1, 2)]),  # tensor over two hosts
        ((1, 1, 8), 4, [(0, 1), (0, 1)]),
    ],
)
def test_hosts_along_the_tensor_axis_read_the_same_rows(
    monkeypatch, shape, per_host, shares
):
    devices = [types.SimpleNamespace(process_index=i // per_host) for i in range(8)]
    mesh = types.SimpleNamespace(
        devices=np.array(devices).reshape(shape),
        shape=dict(zip(("data", "fsdp", "tensor"), shape, strict=True)),
        local_devices=devices[:per_host],
    )
    found = []
    for index in range(len(shares)):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        found.append(find_batch_share(mesh))  # pyright: ignore[reportArgumentType]
    assert found == shares
