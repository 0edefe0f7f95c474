"""Shares of a long list: together they are the whole, and a killed one resumes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from tests.hosts import environment
from tests.trained import tiny_run, write_images
from vit_jax.cli import main
from vit_jax.data.export import export_images
from vit_jax.errors import ConfigError
from vit_jax.infer import parts
from vit_jax.infer.image_files import Outcome
from vit_jax.infer.parts import collect_arrays, find_part_path, find_share, write_part

NUM_IMAGES = 700  # shares of 350: two chunks each, the second a smaller one


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("digits")
    export_images("digits", folder, f"train[:{NUM_IMAGES}]")
    return sorted(str(path) for path in folder.rglob("*.png"))


def start(index: int, count: int, *arguments: str) -> subprocess.Popen:
    """Starts a command as a person would on one of several hosts."""
    command = [sys.executable, "-m", "vit_jax", *arguments]
    command += [f"--num_processes={count}", f"--process_id={index}"]
    return subprocess.Popen(
        command,
        env=environment(1),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at(process: subprocess.Popen, chunk: Path) -> None:
    """Kills a process when its first chunk is there; the next holds it up."""
    end = time.monotonic() + 90
    while not chunk.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_two_processes_one_killed_and_repeated_write_what_one_does(images, tmp_path):
    """A pipe that nobody writes to stands for an image: the process waits there."""
    held = images[-1]
    os.rename(held, tmp_path / "held.png")
    os.mkfifo(held)
    listed = ["predict", f"--checkpoint={tiny_run()}", *images]
    several = [*listed, f"--output={tmp_path / 'names.csv'}"]
    processes = [start(i, 2, *several) for i in range(2)]
    unfinished = tmp_path / "names-00001-of-00002.csv.unfinished"
    first = unfinished / "000000000.npz"
    kill_at(processes[1], first)
    out, errors = processes[0].communicate(timeout=90)
    assert processes[0].returncode == 0, errors  # it needs no other
    zero = tmp_path / "names-00000-of-00002.csv"
    assert out == f"wrote predictions of 350 images to {zero}\n"
    assert not (tmp_path / "names-00001-of-00002.csv").exists()

    os.remove(held)
    os.rename(tmp_path / "held.png", held)
    made = zero.stat().st_mtime_ns
    done = images[NUM_IMAGES // 2]  # of the first chunk: made again, it would be missed
    os.rename(done, tmp_path / "done.png")
    broken = unfinished / "000000256.npz.tmp"
    broken.write_text("half a chunk")
    processes = [start(i, 2, *several) for i in range(2)]
    for process in processes:
        assert process.communicate(timeout=90)[1] == ""
        assert process.returncode == 0
    assert zero.stat().st_mtime_ns == made, "a part that is there is left alone"
    os.rename(tmp_path / "done.png", done)
    assert not unfinished.exists()

    whole = tmp_path / "whole.csv"
    assert main([*listed, f"--output={whole}"]) == 0
    rows = [
        row
        for i in range(2)
        for row in csv.reader((tmp_path / f"names-0000{i}-of-00002.csv").open())
        if row[0] != "path"
    ]
    expected = list(csv.reader(whole.open()))[1:]
    assert len(rows) == 3 * NUM_IMAGES
    assert [row[:4] for row in rows] == [row[:4] for row in expected]
    scores = [[float(row[4]) for row in table] for table in (rows, expected)]
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_shares_together_are_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_SIZE", 2)
    paths = write_images("token", tmp_path) * 3
    argv = ["features", f"--checkpoint={tiny_run()}", "--kind=mean", "--layer=0"]
    found = []
    for name, shares in (("whole", [()]), ("part", [(i, 4) for i in range(4)])):
        output = tmp_path / f"{name}.npz"
        for share in shares:
            given = share and [
                f"--process_id={share[0]}",
                f"--num_processes={share[1]}",
            ]
            assert main([*argv, f"--output={output}", *given, *paths]) == 0
        files = [find_part_path(output, share or (0, 1)) for share in shares]
        arrays = [np.load(file) for file in files]
        assert [str(path) for a in arrays for path in a["paths"]] == paths
        found.append(np.concatenate([a["features"] for a in arrays]))
    np.testing.assert_allclose(*found, atol=1e-6)
    assert sorted(p.name for p in tmp_path.glob("part*")) == [
        f"part-0000{i}-of-00004.npz" for i in range(4)
    ]


class Killed(BaseException):
    pass


def counting(limit: int | None = None):
    """Returns work that dies in the call after ``limit``, and the calls it had."""
    calls: list[list[str]] = []

    def work(paths):
        if len(calls) == limit:
            raise Killed
        calls.append(list(paths))
        outcomes = [
            Outcome(p, None, "bad") if "bad" in p else Outcome(p, len(p)) for p in paths
        ]
        return collect_arrays(outcomes, lambda values: {"length": np.array(values)})

    return work, calls


def write_lengths(path, chunks):
    rows = [row for a in chunks for row in zip(a["paths"], a["length"], strict=True)]
    path.write_text(json.dumps([(str(name), int(length)) for name, length in rows]))


@pytest.mark.parametrize("share", [(0, 1), (1, 2)])
def test_repeated_it_goes_on_after_the_last_chunk(share, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_SIZE", 2)
    paths = ["left out"] * 5 * (share[1] - 1) + ["a", "bb", "bad", "cccc", "c"]
    output = tmp_path / "out.json"

    def run(work, step=1):
        made_of = {"step": step}
        return write_part(
            paths, output, made_of=made_of, work=work, write=write_lengths, share=share
        )

    with pytest.raises(Killed):
        run(counting(limit=1)[0])
    with pytest.raises(ConfigError, match=r"unfinished work of another command"):
        run(counting()[0], step=2)
    work, calls = counting()
    part = run(work)
    assert calls == [["bad", "cccc"], ["c"]]
    assert part.errors == {"bad": "bad"}
    assert part.num_images == 4
    expected = [["a", 1], ["bb", 2], ["cccc", 4], ["c", 1]]
    assert json.loads(part.path.read_text()) == expected

    # Done: alone it is made anew, as one of several it stays.
    work, calls = counting()
    assert run(work) == part
    assert len(calls) == (3 if share[1] == 1 else 0)
    if share[1] > 1:
        with pytest.raises(
            ConfigError, match=r"out-00001-of-00002.json must come from this command"
        ):
            run(work, step=2)


def test_shares_are_found_or_refused(monkeypatch):
    assert find_share() == (0, 1)
    assert find_share(4, 3) == (3, 4)
    for given in ((4, None), (None, 0), (4, 4), (4, -1)):
        with pytest.raises(ConfigError, match=r"must both be given"):
            find_share(*given)
    cuda = jax.config.values["jax_cuda_visible_devices"]
    try:
        for name in ("SLURM_PROCID", "SLURM_NTASKS"):  # a script, outside of any step
            monkeypatch.setenv(name, "5")
        assert find_share() == (0, 1)
        monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "16")
        monkeypatch.setenv("SLURM_LOCALID", "1")
        assert find_share() == (5, 16)
        assert jax.config.values["jax_cuda_visible_devices"] == "1"
    finally:
        for platform in ("cuda", "rocm"):
            jax.config.update(f"jax_{platform}_visible_devices", cuda)


def test_several_print_nothing(tmp_path, capsys):
    image = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(image)
    argv = ["predict", f"--checkpoint={tiny_run()}", str(image)]
    assert main([*argv, "--num_processes=2", "--process_id=0"]) == 2
    assert "--output must be given where 2 processes" in capsys.readouterr().err


def test_lines_of_json_are_what_is_printed(tmp_path, capsys):
    image = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "white").save(image)
    argv = ["predict", f"--checkpoint={tiny_run()}", str(image)]
    capsys.readouterr()  # of the run, where this test is the first to need it
    assert main([*argv, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    output = tmp_path / "out.jsonl"
    assert main([*argv, f"--output={output}"]) == 0
    assert [json.loads(line) for line in output.read_text().splitlines()] == printed
    assert main([*argv, f"--output={tmp_path / 'out.txt'}"]) == 2
    assert ".csv or .jsonl, got out.txt" in capsys.readouterr().err
