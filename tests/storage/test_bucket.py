"""A workdir in a bucket: the same run, and every command that reads one."""

import dataclasses
import json
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gcsfs", reason="needs the extra remote")

from tests.bucket import Storage, storage
from tests.hosts import Hosts
from tests.runs import TINY, change, file_of
from tests.training.test_train import assert_same_run, lines_of, params_of
from vit_jax.checkpoints.card import read_card
from vit_jax.checkpoints.files.orbax_files import find_step
from vit_jax.cli import main
from vit_jax.data.bad_files import BadFiles
from vit_jax.errors import ConfigError
from vit_jax.report.sections import events
from vit_jax.storage import bucket, mirror
from vit_jax.storage.bucket import is_bucket, open_location
from vit_jax.storage.mirror import Mirror
from vit_jax.training.events import read_events
from vit_jax.training.loop import train
from vit_jax.training.workdir import find_bad_files_path, list_appended_files

RUN = "gs://bucket/runs/tiny"
FOLDER = "runs/tiny/checkpoints"


@pytest.fixture(scope="module")
def server():
    """One for all tests; each has a folder of its own."""
    with pytest.MonkeyPatch.context() as patch, storage("bucket") as served:
        for name, value in served.environment.items():
            patch.setenv(name, value)
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        yield served


@pytest.fixture(autouse=True)
def allow(server: Storage):
    yield
    server.refuse = lambda method, name: None


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("local") / "tiny"
    train(TINY, workdir)
    return workdir


@pytest.fixture(scope="module")
def run(server: Storage) -> Path:
    train(TINY, RUN)
    return open_location(RUN)


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the next run end as if it had been interrupted after ``step`` updates."""
    from vit_jax.training import loop as module

    class Interrupted(module.Interrupts):
        def __enter__(self):
            self.left = step
            return self

        def __exit__(self, *_):
            pass

        @property
        def received(self):
            self.left -= 1
            return signal.SIGTERM if self.left < 0 else None

        @received.setter
        def received(self, _):
            pass

    monkeypatch.setattr(module, "Interrupts", Interrupted)


def test_a_run_in_a_bucket_is_the_same_run(server, local, run):
    assert_same_run(local, run)
    names = server.names("runs/tiny/")
    assert {n.split("/")[2] for n in names} == {
        "checkpoints", "config.json", "events.jsonl", "metrics.jsonl", "tensorboard",
        *(["report.html"] if "runs/tiny/report.html" in names else []),
    }  # fmt: skip
    assert {n.split("/")[3] for n in server.names(FOLDER)} == {"12"}  # keep_checkpoints
    config = json.loads(server.text("runs/tiny/config.json"))
    assert config["train"] == dataclasses.asdict(TINY)["train"]


def test_an_interrupted_run_goes_on(server, local, monkeypatch):
    workdir = open_location("gs://bucket/interrupted")
    with monkeypatch.context() as patch:
        stop_at(5, patch)
        assert train(TINY, workdir).step == 5
    assert step_of(workdir) == 5
    first = server.text("interrupted/metrics.jsonl").splitlines()
    train(TINY, workdir)
    assert_same_run(local, workdir)
    assert server.text("interrupted/metrics.jsonl").splitlines()[: len(first)] == first
    events = [(e["event"], e["step"]) for e in read_events(workdir)]
    assert events == [
        ("started", 0), ("interrupted", 5), ("resumed", 5), ("finished", 12)
    ]  # fmt: skip


def test_half_a_checkpoint_is_not_one(server, local):
    workdir = open_location("gs://bucket/half")
    train(change(TINY, train={"keep_checkpoints": 3}), workdir)
    del server.objects["bucket"]["half/checkpoints/12/commit_success.txt"]
    found = find_step(workdir)  # looks for itself
    assert found is not None
    assert (found.name, step_of(workdir)) == ("8", 8)
    assert find_step(workdir / "checkpoints" / "12") is None
    assert read_card(workdir / "checkpoints" / "12") is None
    left = set(server.names("half/checkpoints/12"))
    train(change(TINY, train={"keep_checkpoints": 3}), workdir)
    assert_same_run(local, workdir)
    assert [e["step"] for e in read_events(workdir)][-2:] == [8, 12]
    # What was left of the killed save was removed before there was another.
    data = {n for n in left if "/d/" in n}
    assert data
    assert not data & set(server.names("half/checkpoints/12"))


def test_commands_read_a_run_in_a_bucket(server, local, run, tmp_path, capsys):
    def out(*command: str) -> str:
        assert main(list(command)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    images = tmp_path / "images"
    out("data", "export", "digits", str(images), "--split=test[:3]")
    for command in (
        ["eval", "--workdir={}", "--json"],
        ["predict", "--checkpoint={}/checkpoints/12", "--json", str(images)],
    ):
        here, there = ([part.format(at) for part in command] for at in (local, RUN))
        assert json.loads(out(*there)) == json.loads(out(*here))
    for name, at in (("here", local), ("there", RUN)):
        out(
            "features",
            f"--checkpoint={at}",
            str(images),
            f"--output={tmp_path / name}.npz",
        )
        out("convert", str(at), str(tmp_path / f"{name}.safetensors"))
        figures = tmp_path / name
        out("figures", f"--checkpoint={at}", "--kind=curves", f"--output={figures}")
        assert (figures / "curves.png").exists()
    np.testing.assert_array_equal(
        np.load(tmp_path / "here.npz")["features"],
        np.load(tmp_path / "there.npz")["features"],
    )
    tensors = [
        (tmp_path / f"{name}.safetensors").read_bytes() for name in ("here", "there")
    ]
    assert tensors[0] == tensors[1]
    assert f"wrote {RUN}/report.html" in out("report", RUN)
    page = server.text("runs/tiny/report.html")
    assert f"in {RUN}" in page
    assert "finished" in page


def test_starts_from_a_run_in_a_bucket(run, tmp_path):
    # Its model, too, where the config gives none.
    config = change(
        TINY,
        init={"checkpoint": RUN},
        model={"hidden_size": None, "num_layers": None, "num_heads": None},
        optim={"learning_rate_multipliers": (("head/.*", 1.0), (".*", 0.0))},
        train={"total_steps": 3, "eval_every_steps": 3},
    )
    train(config, tmp_path)
    np.testing.assert_array_equal(params_of(tmp_path)["cls"], params_of(run)["cls"])


def test_bad_files_and_profiles_are_in_the_bucket(server, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"no image")
    config = change(
        TINY,
        data={"source": f"folder:{tmp_path}", "batch_size": 8, "num_workers": 1},
        optim={"warmup_steps": 1},
        train={"total_steps": 2},
    )
    config = dataclasses.replace(config, profile=(2, 2))
    result = train(config, "gs://bucket/bad")
    assert result.num_bad_files == 1
    (line,) = server.text("bad/bad_files.txt").splitlines()
    assert line.startswith(str(tmp_path / "train" / "a" / "0.png"))
    assert any(name.endswith(".xplane.pb") for name in server.names("bad/profile"))
    assert (
        "could not be read: 1." in events(open_location("gs://bucket/bad")).body
    )  # a report's
    with Mirror(
        open_location("gs://bucket/bad"), list_appended_files()
    ) as files:  # when it goes on
        assert len(BadFiles(find_bad_files_path(files.folder))) == 1


def message(capsys: pytest.CaptureFixture, *command: str) -> str:
    """Returns the one line that a command which cannot be done prints."""
    assert main(list(command)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_cannot_be_is_told_in_a_line(server, capsys, tmp_path, monkeypatch):
    def refused(workdir: str) -> str:
        return message(capsys, "train", "--config=digits", f"--workdir={workdir}")

    assert "bucket gs://absent must exist" in refused("gs://absent/run")
    assert "try gs://bucket/run" in refused("gs://bucket")
    assert "try gs://BUCKET/run" in refused("gs://")
    for scheme in ("s3", "az", "hdfs"):
        assert f"mount what is behind {scheme}://" in refused(f"{scheme}://bucket/run")
    assert "no checkpoint in gs://bucket/none" in message(
        capsys, "predict", "--checkpoint=gs://bucket/none", str(tmp_path / "x.png")
    )
    server.refuse = lambda method, name: 403 if method == "POST" else None
    line = refused("gs://bucket/readonly")
    assert "gs://bucket/readonly cannot be written to: Forbidden" in line
    assert server.names("readonly") == []
    server.refuse = lambda method, name: 403 if name else None
    for command in (
        ["eval", f"--workdir={RUN}"],
        ["report", RUN],
        ["convert", RUN, "a.npz"],
    ):
        assert "error: Forbidden: refused" in message(capsys, *command)
    server.refuse = lambda method, name: 403
    bucket._open.cache_clear()
    assert "grant it roles/storage.objectUser" in refused("gs://bucket/run")
    server.refuse = lambda method, name: None
    for missing in ("gcsfs", "google.cloud"):
        bucket._open.cache_clear()
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            assert "pip install 'vit_jax[remote]'" in refused("gs://bucket/run")


def test_no_credentials_are_told_in_a_line(server, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))  # of gcloud: none here
    bucket._open.cache_clear()
    line = message(capsys, "report", RUN)
    assert "gs://bucket needs credentials on every host, got none" in line
    bucket._open.cache_clear()


@pytest.mark.parametrize(
    ("number", "part"),
    [(0, "ocdbt"), (1, "commit_success")],  # TensorStore's, and gcsfs'
)
def test_a_save_that_is_refused_is_told(server, number, part):
    workdir = open_location(f"gs://bucket/refused/{number}")
    server.refuse = lambda method, name: (
        403 if method != "GET" and f"/{part}" in name else None
    )
    with pytest.raises(
        ConfigError, match=r"gs://bucket/refused/\d: \w+.*refused; none is saved"
    ):
        train(TINY, workdir)
    assert read_card(workdir) is None


def test_outputs_stay_on_this_machine(capsys):
    command = ["predict", "--checkpoint=digits", "--output=gs://bucket/a.csv", "a.png"]
    with pytest.raises(SystemExit):
        main(command)
    assert "must be a path on this machine" in capsys.readouterr().err


def test_what_is_a_folder_in_a_bucket():
    assert is_bucket("gs://bucket/run")
    assert is_bucket(Path("gs://bucket/run"))  # which is gs:/bucket/run by now
    assert not is_bucket("gs://vit_models/imagenet21k/ViT-B_16.npz")  # weights
    assert not is_bucket("runs/gs")
    assert open_location("runs/digits/") == Path("runs/digits")


def test_pathlibs_spelling_is_put_right(server):
    assert str(open_location(Path("gs://bucket/run"))) == "gs://bucket/run"


def test_a_mirror_copies_what_has_changed(server, caplog):
    workdir = open_location("gs://bucket/mirror")
    (workdir / "log").write_text("one\n")
    with Mirror(workdir, ["log", "absent"]) as files:
        with (files.folder / "log").open("a") as file:
            file.write("two\n")
        (files.folder / "below").mkdir()
        (files.folder / "below" / "new").write_text("new")
        assert files.copy()
        assert server.text("mirror/log") == "one\ntwo\n"
        assert server.text("mirror/below/new") == "new"
        before = len(server.requests)
        assert files.copy()
        assert len(server.requests) == before  # nothing has changed
        # What is refused is told once, and is there as soon as it can be.
        server.refuse = lambda method, name: 403 if method == "POST" else None
        (files.folder / "log").write_text("three\n")
        assert not files.copy()
        assert not files.copy()
        assert [r.getMessage() for r in caplog.records] == [
            "gs://bucket/mirror/log cannot be written now (Forbidden: refused)"
        ]
        server.refuse = lambda method, name: None
        files.start()
    assert server.text("mirror/log") == "three\n"
    assert not files.folder.exists()


def test_a_mirror_leaves_what_it_cannot_copy(server, caplog):
    with Mirror(open_location("gs://bucket/full")) as files:
        server.refuse = lambda method, name: 403 if method == "POST" else None
        (files.folder / "log").write_text("one\n")
        files.start()
    assert str(files.folder) in caplog.text
    assert (files.folder / "log").read_text() == "one\n"


def test_a_mirror_copies_by_itself(server, monkeypatch):
    monkeypatch.setattr(mirror, "PERIOD", 0.01)
    with Mirror(open_location("gs://bucket/itself")) as files:
        files.start()
        (files.folder / "log").write_text("one\n")
        for _ in range(1000):
            if "itself/log" in server.names("itself"):
                break
            files._ended.wait(0.01)
        assert server.text("itself/log") == "one\n"


def test_a_local_workdir_has_no_mirror(tmp_path):
    (tmp_path / "log").write_text("one\n")
    with Mirror(tmp_path, ["log"]) as files:
        files.start()
        assert files.folder == tmp_path
        assert files._thread is None
    assert (tmp_path / "log").read_text() == "one\n"


@pytest.mark.slow
def test_two_hosts_stopped_and_killed_end_bit_identical(server, tmp_path):
    config = tmp_path / "tiny.py"
    lasts = {"total_steps": 40, "save_every_steps": 8}
    config.write_text(file_of(change(TINY, train=lasts)))
    whole = Hosts(config, tmp_path / "whole", 2).end(180)
    assert [code for code, _ in whole] == [0, 0], whole
    workdir = open_location("gs://bucket/hosts")

    hosts = Hosts(config, workdir, 2)
    wait_for_save(server, hosts, after=0)
    hosts.send(1, signal.SIGTERM)
    ended = hosts.end(180)
    assert [code for code, _ in ended] == [128 + signal.SIGTERM] * 2, ended
    step = step_of(workdir)
    assert f"stopped and saved at step {step}" in ended[0][1]
    assert step >= lines_of(workdir)[-1]["step"]

    hosts = Hosts(config, workdir, 2)
    wait_for_save(server, hosts, after=step)
    hosts.send(1, signal.SIGKILL)
    (code, _), (killed, _) = hosts.end(180)
    assert killed == -signal.SIGKILL
    assert code != 0
    assert step < step_of(workdir) < 40

    ended = Hosts(config, workdir, 2).end(180)
    assert [code for code, _ in ended] == [0, 0], ended
    assert f"resumed from {workdir} at step " in ended[0][1]
    assert "step" not in ended[1][1]  # one logs
    assert_same_run(tmp_path / "whole", workdir)
    events = [event["event"] for event in read_events(workdir)]
    assert events[:3] == ["started", "interrupted", "resumed"]
    assert events[-2:] == ["resumed", "finished"]


def wait_for_save(server: Storage, hosts: Hosts, after: int) -> None:
    """Returns when the run has saved a later step; asks nobody who is at work."""
    saved = re.compile(r"hosts/checkpoints/(\d+)/commit_success.txt")
    while hosts.processes[0].poll() is None:
        found = map(saved.fullmatch, server.names("hosts/"))
        if any(int(match[1]) > after for match in found if match):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint: {hosts.end()}")


def step_of(workdir: Path) -> int:
    card = read_card(workdir)
    assert card is not None
    return card["step"]
