"""The command line: what a person types, sees and gets back."""

import argparse
import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runs import TINY_FILE
from vit_jax.cli import _make_parser, main
from vit_jax.config.choices import EVALUATORS, FEATURES, FIGURES, PHASES
from vit_jax.data.export import export_images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished tiny run: its config file and workdir."""
    folder = tmp_path_factory.mktemp("cli")
    config = folder / "tiny.py"
    config.write_text(TINY_FILE)
    workdir = folder / "run"
    assert main(["train", f"--config={config}", f"--workdir={workdir}"]) == 0
    return config, workdir


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Six held-out digits as an image folder."""
    folder = tmp_path_factory.mktemp("images")
    assert export_images("digits", folder, "test[:6]") == 6
    return folder


def refuse(capsys, *argv: str) -> str:
    """Runs a command that must fail in one clear line; returns the line."""
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("vit-jax: error: ")
    assert error.count("\n") == 1, error
    return error


def test_training_says_what_happened_and_what_comes_next(capsys, tmp_path):
    config = tmp_path / "tiny.py"
    config.write_text(TINY_FILE)
    assert main(["train", f"--config={config}", f"--workdir={tmp_path / 'w'}"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("step 2/12  loss ")
    assert "images/s  input wait " in out[0]
    assert "%  eta 0:" in out[0]
    assert any("eval: top-1 " in line and "(359 images)" in line for line in out)
    assert out[-2].startswith("done in ")
    assert out[-1] == f"next: vit-jax predict --checkpoint={tmp_path / 'w'} IMAGE..."


def test_show_prints_the_resolved_config_and_trains_nothing(run, capsys, tmp_path):
    config, _ = run
    workdir = tmp_path / "none"
    argv = ["train", f"--config={config}", f"--workdir={workdir}", "--show"]
    assert main([*argv, "--config.train.total_epochs=3"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["train"]["total_epochs"] == 3
    assert shown["train"]["total_steps"] is None
    assert shown["model"]["hidden_size"] == 16
    assert not workdir.exists()


def test_eval_counts_every_image(run, capsys):
    _, workdir = run
    assert main(["eval", f"--workdir={workdir}", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["count"] == 359
    assert metrics["top1"] <= metrics["top5"] <= 1
    assert main(["eval", f"--workdir={workdir}", "--split=train[:50]"]) == 0
    assert "(50 images)" in capsys.readouterr().out


def test_eval_agrees_with_training(run, capsys):
    _, workdir = run
    assert main(["eval", f"--workdir={workdir}", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    # The same parameters and images; only the layout over devices may differ.
    assert metrics["top1"] == last["top1"]
    np.testing.assert_allclose(metrics["loss"], last["loss"], rtol=1e-6)


def test_predict_prints_a_row_for_each_image(run, images, capsys):
    _, workdir = run
    assert main(["predict", f"--checkpoint={workdir}", str(images)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 6
    assert all(row.count("%") == 3 for row in rows)


def test_predict_as_json_and_csv_agree(run, images, capsys):
    _, workdir = run
    argv = ["predict", f"--checkpoint={workdir}", f"{images}/*/*.png"]
    assert main([*argv, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert main([*argv, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(answers) == 6
    assert len(rows) == 18
    first = answers[0]["predictions"][0]
    assert rows[0]["path"] == answers[0]["path"]
    assert float(rows[0]["probability"]) == first["probability"]
    best = [p["probability"] for p in answers[0]["predictions"]]
    assert best == sorted(best, reverse=True)


def test_predict_agrees_with_evaluation(run, tmp_path, capsys):
    # Through PNG files and the checkpoint's own preprocessing, nothing is lost.
    _, workdir = run
    export_images("digits", tmp_path, "test")
    assert main(["predict", f"--checkpoint={workdir}", str(tmp_path), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    right = [
        Path(a["path"]).parent.name == a["predictions"][0]["name"] for a in answers
    ]
    last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    assert len(right) == 359
    assert np.mean(right) == pytest.approx(last["top1"])


def test_a_format_without_class_names_is_reported(run, tmp_path, capsys):
    _, workdir = run
    for name, said in (("run.npz", 1), ("run.safetensors", 0)):
        assert main(["convert", str(workdir), str(tmp_path / name)]) == 0
        assert capsys.readouterr().out.count("holds no class names") == said


def test_predict_tells_bad_files_and_still_predicts_the_others(run, images, capsys):
    _, workdir = run
    good = next(images.rglob("*.png"))
    text = images / "text.jpg"
    text.write_text("no image")
    argv = ["predict", f"--checkpoint={workdir}", "--csv"]
    assert main([*argv, str(text), str(good), "missing.png"]) == 2
    captured = capsys.readouterr()
    text.unlink()
    assert captured.out.count(str(good)) == 3
    assert captured.err.count("vit-jax: error: ") == 2
    assert "text.jpg" in captured.err
    assert "missing.png: No such file" in captured.err
    assert "Traceback" not in captured.err


def test_what_is_assumed_of_a_checkpoint_is_said_aloud(golden, images, capsys):
    good = str(next(images.rglob("*.png")))
    path = golden / "timm" / "qk_norm.safetensors"
    assert main(["predict", f"--checkpoint={path}", "--json", good]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 1  # standard output is for programs
    notes = captured.err.splitlines()
    assert "vit-jax: note: LayerNorm epsilon 1e-06, as timm's default" in notes
    assert len(notes) == len(set(notes)) == 3


def make_folder(root: Path, splits: dict[str, tuple[str, ...]]) -> Path:
    rng = np.random.default_rng(0)
    for split, classes in splits.items():
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (9, 11, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def test_bad_input_ends_in_one_line(run, capsys, tmp_path):
    config, workdir = run
    train = ["train", f"--config={config}", f"--workdir={tmp_path / 'w'}"]

    def line(*overrides: str) -> str:
        return refuse(capsys, *train, *overrides)

    assert 'did you mean "batch_size"' in line("--config.data.bach_size=3")
    assert "nope" in line("--config.data.source=tfds:nope_nope")
    assert 'did you mean "ViT-B/16"' in line("--config.model.variant=ViT-B/15")
    (tmp_path / "empty").mkdir()
    assert "empty" in line(f"--config.data.source=folder:{tmp_path / 'empty'}")
    missing = make_folder(
        tmp_path / "missing", {"train": ("cat", "dog"), "test": ("cat",)}
    )
    assert "dog" in line(f"--config.data.source=folder:{missing}")
    error = line("--config.data.image_size=10")
    assert "8" in error
    assert "12" in error
    assert "does not exist" in refuse(capsys, "train", "--config=nope.py")
    assert "> 0, got -1" in line("--config.model.layer_norm_epsilon=-1")
    assert "labels are of images" in line("--config.model.classifier=unpooled")
    single = make_folder(tmp_path / "single", {"train": ("cat",), "test": ("cat",)})
    assert "at least 2 classes" in line(f"--config.data.source=folder:{single}")
    assert "train, test" in line("--config.data.eval_split=nope")
    assert not (tmp_path / "w" / "checkpoints").exists()
    error = refuse(
        capsys, "train", f"--config={config}", f"--workdir={workdir}",
        "--config.model.num_heads=4",
    )  # fmt: skip
    assert "another run's checkpoint" in error
    error = refuse(capsys, "eval", f"--workdir={tmp_path / 'empty'}")
    assert "no checkpoint" in error
    error = refuse(
        capsys, "predict", f"--checkpoint={workdir}", str(tmp_path / "empty")
    )
    assert "found none" in error
    assert 'got ""' in refuse(capsys, "predict", f"--checkpoint={workdir}", "")


def test_a_text_file_named_jpg_is_named(run, capsys, tmp_path):
    config, _ = run
    splits = {"train": ("cat", "dog"), "test": ("cat", "dog")}
    folder = make_folder(tmp_path / "images", splits)
    (folder / "train" / "cat" / "bad.jpg").write_text("this is text")
    argv = [
        "train", f"--config={config}", f"--config.data.source=folder:{folder}",
        "--config.data.batch_size=8", "--config.train.total_steps=3",
    ]  # fmt: skip
    strict = [f"--workdir={tmp_path / 'strict'}", "--config.data.strict=True"]
    assert "bad.jpg" in refuse(capsys, *argv, *strict)
    workdir = tmp_path / "w"
    assert main([*argv, f"--workdir={workdir}"]) == 0
    report = workdir / "bad_files.txt"
    assert f"skipped 1 unreadable image, named in {report}" in capsys.readouterr().out
    assert "bad.jpg" in report.read_text()


def test_trains_on_a_folder_of_ones_own(run, capsys, tmp_path):
    config, _ = run
    folder = make_folder(tmp_path / "images", {"": ("cat", "dog")})
    workdir = tmp_path / "w"
    argv = ["train", f"--config={config}", f"--workdir={workdir}"]
    own = [f"--config.data.source=folder:{folder}", "--config.data.batch_size=8"]
    assert main([*argv, *own, "--config.train.total_steps=2",
                 "--config.optim.warmup_steps=0"]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["predict", f"--checkpoint={workdir}", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.count("cat") >= 8
    assert out.count("dog") >= 8


@pytest.mark.parametrize("name", ["--workdir=", "--config.init.checkpoint="])
def test_an_empty_value_is_refused(capsys, name):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--config=digits", name])
    assert stopped.value.code == 2
    assert f"{name} must be followed by a value" in capsys.readouterr().err


def test_home_is_meant_behind_an_equals_sign_too(run, images, monkeypatch, tmp_path):
    """Bash hands ``--output=~/x`` over as it is."""
    _, workdir = run
    monkeypatch.setenv("HOME", str(tmp_path))
    argv = ["predict", f"--checkpoint={workdir}", str(images), "--output=~/names.csv"]
    assert main(argv) == 0
    assert (tmp_path / "names.csv").exists()


def test_a_file_s_name_need_not_be_text(run, images, capsysbinary, tmp_path):
    """Bytes that are no UTF-8, as old archives and cameras leave them."""
    _, workdir = run
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        shutil.copy(next(images.rglob("*.png")), name)
    except OSError:
        pytest.skip("this file system takes text only")
    with_it = [f"--checkpoint={workdir}", os.fsdecode(name)]
    for form in ([], ["--csv"]):
        assert main(["predict", *with_it, *form]) == 0
        assert name in capsysbinary.readouterr().out
    for command, output in (
        ("predict", "names.csv"),
        ("predict", "names.jsonl"),
        ("features", "features.npz"),
        ("features", "features.parquet"),
    ):
        assert main([command, *with_it, f"--output={tmp_path / output}"]) == 0
    assert name in (tmp_path / "names.csv").read_bytes()
    with np.load(tmp_path / "features.npz") as found:
        assert os.fsencode(str(found["paths"][0])) == name
    figures = ["figures", *with_it, "--kind=rollout", f"--output={tmp_path}"]
    assert main(figures) == 0
    assert (tmp_path / "rollout.png").exists()


def test_a_part_of_a_name_lists_the_weights(capsys):
    assert main(["models", "dinov2"]) == 0
    assert capsys.readouterr().out.count("dinov2/") == 8
    assert 'did you mean "ViT-B/16"' in refuse(capsys, "models", "ViT-B16")


def test_unknown_arguments_are_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["eval", "--workdir=x", "--nope"])
    assert caught.value.code == 2
    assert "--nope" in capsys.readouterr().err


def every_command(parser=None, name=()) -> list[tuple[str, ...]]:
    """Returns the words of each command, and of each action of one."""
    parser = parser or _make_parser()
    found = [name]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                found += every_command(inner, (*name, word))
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_help_shows_examples_that_parse(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    _, _, examples = text.partition("examples:\n")
    lines = examples.partition("\n\n")[0].replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        argv = shlex.split(
            line.replace('eval "$(', "").replace(')"', ""), comments=True
        )
        argv = argv[: argv.index(">")] if ">" in argv else argv
        assert argv[: 1 + len(words)] == ["vit-jax", *words]
        arguments, overrides = _make_parser().parse_known_args(argv[1:])
        assert callable(arguments.run)
        assert not overrides or "config" in arguments


@pytest.mark.parametrize(
    ("command", "table"),
    [
        ("eval", EVALUATORS),
        ("features", FEATURES),
        ("figures", FIGURES),
        ("bench", PHASES),
    ],
)
def test_help_prints_the_choices(command, table, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for name, row in table.items():
        assert f"{name} {row.help}" in lines


def test_help_is_quick():
    command = [sys.executable, "-m", "vit_jax", "train", "--help"]
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    assert time.perf_counter() - started < 5, "0.1 s where nothing else runs"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="needs the extra completion")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("predict", "--checkpoint", "convert", "--evaluator"):
        assert word in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0


def test_completion_offers_options_in_bash():
    pytest.importorskip("shtab", reason="needs the extra completion")
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    script = subprocess.run(
        [sys.executable, "-m", "vit_jax", "completion", "bash"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    ask = """
COMP_WORDS=(vit-jax predict --che); COMP_CWORD=2
function=$(complete -p vit-jax | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function vit-jax --che predict
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash"], input=script + ask, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["--checkpoint"]


def test_completion_without_shtab_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert 'pip install "vit_jax[completion]"' in refuse(capsys, "completion", "bash")


def test_data_is_checked_for_people_and_programs(capsys, tmp_path):
    argv = ["data", "check", "digits", "--split=test[:20]"]
    assert main(argv) == 0
    assert "20 images" in capsys.readouterr().out.splitlines()[0]
    picture = tmp_path / "samples.png"
    assert main([*argv, "--json", f"--picture={picture}"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 20
    assert Image.open(picture).width > 100


def test_a_plan_that_does_not_fit_ends_with_1(run, capsys):
    config, _ = run
    argv = ["plan", f"--config={config}", "--chip=H100", "--no_compile", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["fits"]
    assert main([*argv, "--config.data.batch_size=16777216"]) == 1
    assert not json.loads(capsys.readouterr().out)["fits"]
    argv.remove("--json")
    assert main([*argv, "--search"]) == 0
    assert "images/s" in capsys.readouterr().out


def test_bench_prints_a_table_or_json(run, capsys):
    config, _ = run
    argv = ["bench", f"--config={config}", "--phase=inference", "--repeats=1"]
    argv += ["--seconds=0.01", "--num_classes=10"]
    assert main(argv) == 0
    assert "inference, batch 32" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"]["images_per_s"] > 0


def test_python_m_is_the_same_program():
    command = [sys.executable, "-m", "vit_jax", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "0.1.0"
