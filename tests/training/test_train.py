"""Training end to end: exact resume, interrupts, and what it refuses."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import vit_jax.training.run as run_module
from tests.runs import TINY, TINY_FILE, change
from vit_jax.checkpoints.card import read_card
from vit_jax.checkpoints.load import load
from vit_jax.config import MeshConfig
from vit_jax.config.file import load_config
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.training.loop import train
from vit_jax.training.metrics import TIMINGS, MetricsLog, read_metrics


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a finished tiny run, and its result."""
    workdir = tmp_path_factory.mktemp("finished")
    return workdir, train(TINY, workdir)


def lines_of(workdir: Path) -> list[dict]:
    """Returns the metrics without what depends on the machine's speed."""
    lines = read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def params_of(workdir: Path) -> dict:
    mesh = make_mesh(MeshConfig())
    return jax.device_get(load(workdir, mesh).params)


def assert_same_run(one: Path, other: Path) -> None:
    """Holds two runs to bit-identical parameters and metrics."""
    assert lines_of(one) == lines_of(other)
    jax.tree.map(np.testing.assert_array_equal, params_of(one), params_of(other))


def test_run_evaluates_the_whole_split_and_logs_each_step_once(finished):
    workdir, result = finished
    assert result.step == 12
    assert result.metrics["count"] == 359  # 20% of the 1,797 digits
    lines = lines_of(workdir)
    steps = {kind: [x["step"] for x in lines if x["kind"] == kind] for kind in
             ("train", "eval")}  # fmt: skip
    assert steps == {"train": [2, 4, 6, 8, 10, 12], "eval": [6, 12]}
    assert lines[-1]["top1"] == result.metrics["top1"]
    assert (workdir / "config.json").exists()
    assert list((workdir / "tensorboard").glob("events.out.tfevents.*"))


def test_saves_as_often_as_asked(tmp_path):
    config = change(TINY, train={"keep_checkpoints": 9, "save_every_steps": 5})
    train(config, tmp_path)
    saved = {int(folder.name) for folder in (tmp_path / "checkpoints").iterdir()
             if folder.name.isdigit()}  # fmt: skip
    assert saved == {5, 10, 12}


def test_a_finished_run_is_left_alone(finished):
    workdir, result = finished
    before = lines_of(workdir)
    again = train(TINY, workdir)
    assert (again.step, again.metrics) == (12, result.metrics)
    assert lines_of(workdir) == before


def test_two_runs_of_one_config_are_bit_identical(finished, tmp_path):
    train(TINY, tmp_path)
    assert_same_run(finished[0], tmp_path)


def start(workdir: Path, config: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vit_jax", "train", f"--config={config}"]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_step(workdir: Path, step: int, process: subprocess.Popen) -> None:
    path = workdir / "metrics.jsonl"
    while process.poll() is None:
        if path.exists() and any(x["step"] >= step for x in read_metrics(path)):
            return
        time.sleep(0.005)
    raise AssertionError(f"ended before step {step}: {process.communicate()[0]}")


def test_killed_at_three_random_moments_ends_bit_identical(tmp_path):
    config = tmp_path / "tiny.py"
    text = TINY_FILE.replace("'total_steps': 12", "'total_steps': 60")
    text = text.replace("'log_every_steps': 2", "'log_every_steps': 1")
    config.write_text(text)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(whole, config)
    assert process.wait() == 0, process.communicate()[0]
    moments = random.SystemRandom()
    step = 0
    for _ in range(3):
        step = min(step + moments.randint(1, 18), 57)
        process = start(killed, config)
        wait_for_step(killed, step, process)
        time.sleep(moments.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (-signal.SIGKILL, 0)
        process.communicate()
    process = start(killed, config)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "resumed" in output
    assert_same_run(whole, killed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_before_leaving(tmp_path, number):
    config = tmp_path / "tiny.py"
    text = TINY_FILE.replace("'total_steps': 12", "'total_steps': 100000")
    text = text.replace("'save_every_steps': 4", "'save_every_steps': 100000")
    config.write_text(text)
    process = start(tmp_path / "run", config)
    wait_for_step(tmp_path / "run", 4, process)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, output
    assert "repeat the command" in output
    assert "Traceback" not in output
    card = read_card(tmp_path / "run")
    assert card is not None
    assert card["step"] >= 4
    assert card["step"] >= lines_of(tmp_path / "run")[-1]["step"]


def test_an_error_in_the_data_saves_the_finished_steps(tmp_path, monkeypatch):
    from vit_jax.data import loader

    real = loader.make_train_batches

    def failing(*args, **kwargs):
        batches = real(*args, **kwargs)
        draw, count = type(batches).__next__, [0]

        def next_or_fail(self):
            count[0] += 1
            if count[0] > 3:
                raise ConfigError("image must be readable, got broken.jpg")
            return draw(self)

        monkeypatch.setattr(type(batches), "__next__", next_or_fail)
        return batches

    monkeypatch.setattr(loader, "make_train_batches", failing)
    with pytest.raises(ConfigError, match=r"broken\.jpg"):
        train(TINY, tmp_path)
    card = read_card(tmp_path)
    assert card is not None
    assert card["step"] == 3


def test_another_models_workdir_is_refused_and_kept(finished):
    workdir, _ = finished
    before = (workdir / "config.json").read_text()
    other = change(TINY, model={"hidden_size": 32})
    with pytest.raises(
        ConfigError, match=r"hidden_size is 16 there and 32 here.*--work"
    ):
        train(other, workdir)
    assert (workdir / "config.json").read_text() == before
    assert params_of(workdir)


def test_fewer_steps_than_done_are_refused(finished):
    config = change(TINY, train={"total_steps": 6})
    with pytest.raises(
        ConfigError, match=r"at least the 12 steps that .* has done, got"
    ):
        train(config, finished[0])


@pytest.mark.slow
def test_the_first_command_learns_the_digits(tmp_path):
    # What the README promises of `make demo`.
    result = train(load_config("digits"), tmp_path)
    assert result.metrics["count"] == 359
    assert result.metrics["top1"] >= 0.97


def test_a_workdir_that_cannot_be_written_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written to: Not a directory"):
        train(TINY, file / "run")


def test_other_buckets_must_be_mounted():  # gs:// is in test_bucket.py
    with pytest.raises(ConfigError, match=r"got s3:/bucket/run; mount what is behind"):
        train(TINY, Path("s3://bucket/run"))


def test_starts_from_another_runs_parameters(finished, tmp_path):
    workdir, _ = finished
    config = change(
        TINY,
        init={"checkpoint": str(workdir)},
        optim={"learning_rate_multipliers": (("head/.*", 1.0), (".*", 0.0))},
        train={"total_steps": 4},
    )
    train(config, tmp_path)
    before, after = params_of(workdir), params_of(tmp_path)
    np.testing.assert_array_equal(after["cls"], before["cls"])
    assert not np.array_equal(after["head"]["kernel"], before["head"]["kernel"])


def test_a_checkpoint_of_another_shape_is_told(finished, tmp_path):
    config = change(
        TINY, init={"checkpoint": str(finished[0])}, model={"hidden_size": 32}
    )
    with pytest.raises(ConfigError, match=r"does not fit: .*bias is \(16,\), not \(32"):
        train(config, tmp_path)


def test_config_json_is_the_resolved_run(finished):
    config = json.loads((finished[0] / "config.json").read_text())
    assert config["model"]["hidden_size"] == 16
    assert config["seed"] == 0
    assert os.path.getsize(finished[0] / "config.json") > 500


def test_a_run_that_diverges_ends_and_keeps_its_last_sound_checkpoint(tmp_path):
    config = change(TINY, optim={"clip_global_norm": 0.0, "schedule": "constant"})
    train(change(config, train={"total_steps": 4}), tmp_path)
    wild = change(config, optim={"learning_rate": 1e30})
    with pytest.raises(ConfigError, match=r"got .*loss nan.* resumes from step 4"):
        train(wild, tmp_path)
    card = read_card(tmp_path)
    assert card is not None
    assert card["step"] == 4
    assert all(np.isfinite(line.get("loss", 0)) for line in lines_of(tmp_path))
    assert train(config, tmp_path).step == 12


def test_a_second_interrupt_does_not_wait_for_a_save(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vit_jax.training.metrics.MetricsLog.train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path)
    assert read_card(tmp_path) is None


def test_a_run_goes_on_when_what_it_started_from_is_gone(finished, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(finished[0], source)
    config = change(
        TINY,
        model={"patch_size": None, "hidden_size": None, "num_layers": None},
        init={"checkpoint": str(source)},
    )
    train(change(config, train={"total_steps": 4}), tmp_path / "run")
    shutil.rmtree(source)
    assert train(config, tmp_path / "run").step == 12


def test_a_disk_that_refuses_a_save_is_told_and_the_last_one_is_safe(tmp_path):
    config = tmp_path / "tiny.py"
    config.write_text(TINY_FILE)
    workdir = tmp_path / "run"
    train(change(TINY, train={"total_steps": 4}), workdir)
    # The system refuses files of more than 8 kB, as a full disk refuses them.
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "from vit_jax.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["train", f"--config={config}", f"--workdir={workdir}"]
    result = subprocess.run(
        [sys.executable, "-c", limited, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "step 4 is safe" in result.stderr.splitlines()[-1]
    card = read_card(workdir)
    assert card is not None
    assert card["step"] == 4


def test_what_is_in_flight_at_an_evaluation_is_no_pause(tmp_path, monkeypatch):
    """Else an evaluation would make images/s of the steps before it too high."""
    pauses: list[float] = []
    fetch = run_module._to_floats

    def wait_and_fetch(values):
        time.sleep(0.5)  # the device is still at work on the last updates
        return fetch(values)

    monkeypatch.setattr(run_module, "_to_floats", wait_and_fetch)
    monkeypatch.setattr(run_module, "evaluate_batches", lambda *_: METRICS)
    monkeypatch.setattr(MetricsLog, "pause", lambda _, seconds: pauses.append(seconds))
    # Reports after every second update, evaluates after the fifth and the last.
    train(change(TINY, train=EVERY | {"total_steps": 10}), tmp_path)
    assert len(pauses) == 10
    assert pauses[4] < 0.4


METRICS = {"loss": 1.0, "top1": 0.5, "top5": 0.5, "count": 1}
EVERY = {"log_every_steps": 2, "eval_every_steps": 5, "save_every_steps": 10}
