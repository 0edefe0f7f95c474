"""The site builds without a warning; what the documents print and claim is so."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.datasets import DATASETS
from configs.pretrain_augreg import AUGMENTATIONS
from tests.conftest import GOLDEN
from tests.test_readme import DOCUMENTS, ROOT, blocks, commands
from tests.trained import tiny_run
from vit_jax.cli import _make_parser, main
from vit_jax.config_file import load_config
from vit_jax.data.export import export
from vit_jax.durations import resolve_steps
from vit_jax.resolve import resolve

RESULTS = ROOT / "benchmarks" / "results"
# What needs a network, TensorFlow, a TPU's compiler, a shell of its own, or hours; those
# that train are resolved by a test of their own.
NOT_HERE = re.compile(
    r"^vit-jax (train|plan .*--topology|completion|doctor|data prepare)|^make"
    r"|runs/vit_b16|bench .*vit_b16|dinov2/|://|timm/"
)
CHEAPER = {  # the same command, with less work
    "bench": ["--repeats=1", "--seconds=0.01", "--num_classes=10"],
    "plan": ["--no_compile"],
}


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, f"--site-dir={tmp_path / 'site'}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site" / "api" / "index.html").read_text()
    for name in ("load_pretrained", "Predictor", "rollout", "make_plan"):
        assert name in api
    pages = list((tmp_path / "site").rglob("*.html"))
    fetched = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="https?://')
    assert not [page for page in pages if fetched.search(page.read_text())], "offline"


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder as the documents assume it: a run, a checkpoint file, photos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIT_JAX_OFFLINE", "1")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    shutil.copytree(tiny_run(), "runs/digits")
    shutil.copy(GOLDEN / "google_vit" / "token_rep.prelinen.npz", "ViT-B_16.npz")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for name in ("photo.jpg", "photo.png", "folder/1.png", "scans/1.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(name)
    export("digits", Path("samples"), "test[:8]")
    shutil.copytree("samples", "runs/digits/samples")
    export("digits", Path("flowers"), "train[:80]")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_python_runs(path, desk):
    code = [body for body in blocks(path, "python") if not body.startswith("# no run")]
    names: dict = {}
    for body in code:
        body = body.replace("total_epochs=20", "total_epochs=1")  # the same, sooner
        exec(compile(body, path.name, "exec"), names)  # noqa: S102, our own documents


@pytest.mark.slow
def test_commands_run(desk, capsys):
    lines = {" ".join(words): words for _, words in commands()}
    ran = 0
    for line, words in lines.items():
        if NOT_HERE.search(line):
            continue
        argv = [*words[1:], *CHEAPER.get(words[1], [])]
        assert main(argv) == 0, f"{line}: {capsys.readouterr().err}"
        ran += 1
    assert ran > 25


def test_runs_resolve():
    """All that precedes data and weights: the model, and every duration in steps."""
    lines = {" ".join(words): words for _, words in commands() if words[1] == "train"}
    assert len(lines) > 10
    for words in lines.values():
        arguments, overrides = _make_parser().parse_known_args(words[1:])
        config = resolve(load_config(str(ROOT / arguments.config), overrides))
        for num_examples in (100, 50_000):
            assert resolve_steps(config, num_examples).total > 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_commands_inside_sentences_and_tables_parse(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    overrides = []
    for code in re.findall(r"`([^`]+)`", text):
        words = shlex.split(code) if code.startswith(("vit-jax ", "--config.")) else []
        if words[:1] == ["vit-jax"] and "COMMAND" not in words:
            if "=..." in code or len(words) == 2:
                continue
            arguments, rest = _make_parser().parse_known_args(words[1:])
            assert "config" in arguments or not rest, code
            if rest:
                load_config(arguments.config, rest)
        ours = not OTHERS.search(code)
        overrides += [w for w in words if w.startswith("--config.") and ours]
    for override in overrides:
        if re.search(r"=[A-Z]+$|=folder:DIR$", override):
            continue  # a placeholder
        load_config(str(ROOT / "configs" / "vit_b16.py:folder"), [SOURCE, override])


OTHERS = re.compile(
    r"--config\.(pp|batch|base_lr|total_steps|eval_every|dataset|pretrained_dir"
    r"|tfds_data_dir)\b"
)
SOURCE = "--config.data.source=digits"


def test_performance_is_what_the_files_say():
    text = " ".join((ROOT / "docs" / "performance.md").read_text().split())
    read = json.loads((RESULTS / "input.json").read_text())
    ratios = read["times_tf_data_per_cpu_s"]
    train, evaluation = (ratios[f"{kind}, 1 threads"][1] for kind in ("train", "eval"))
    assert train >= 1.5
    assert evaluation >= 1.3
    assert f"threads read {train:.1f} times as many in training" in text
    assert f"{evaluation:.1f} times as many in evaluation" in text
    for name, (low, middle, high) in ratios.items():
        assert "processes" in name or high - low < 0.05 * middle
    pair = [f"{ratios[f'{kind}, 1 processes'][1]:.1f}" for kind in ("train", "eval")]
    assert f"{' and '.join(pair)} times the original's rate" in text
    for kind, name in (("training", "train"), ("evaluation", "eval")):
        predicted = read["predicted_per_cpu_s"][kind]
        assert 0.9 <= predicted["share"] < 0.95
        measured = read[f"{name}, 1 threads"]["per_cpu_s"]
        assert predicted["per_cpu_s"] == pytest.approx(measured, rel=0.1)
    for sizes in read["memory_mb"].values():
        assert sizes["after 40 batches"] <= 1.05 * sizes["after 8 batches"]
    costs = json.loads((RESULTS / "augment_v5e.json").read_text())["us_per_image"]
    rand, three = costs["RandAugment(2, 15)"], costs["3-Augment"]
    assert f"{rand['host'] / 1e3:.1f} ms of one CPU" in text
    assert f"take {rand['share_of_a_step']:.0%} of a step" in text
    assert f"the host {three['host'] / 1e3:.1f} ms" in text
    assert f"that step {three['share_of_a_step']:.1%}" in text
    demo, chip = (
        json.loads((RESULTS / f"input_wait_{name}.json").read_text())["input_wait"]
        for name in ("digits", "b16_h100")
    )
    assert max(demo, chip) < 0.03
    assert f"{demo:.1%} in the demo" in text
    assert f"{chip:.1%} for ViT-B/16" in text
    cases = json.loads((RESULTS / "load.json").read_text())["cases"]
    assert f"takes {cases['one_device']['time_over_numpy']:.2f} times" in text
    assert f"is {cases['mesh']['largest_share_of_a_device']:.1%} of it" in text
    peak = max(case["peak_over_file"] for case in cases.values())
    assert f"more than {peak:.2f} times the file" in text


def test_recipes_are_what_the_configs_say():
    text = (ROOT / "docs" / "recipes.md").read_text()
    for name, preset in DATASETS.items():
        data = {"train_split": "train", "eval_split": "test"} | preset["data"]
        if name.startswith("vtab/"):
            assert f"`{name.removeprefix('vtab/')}`" in text
        elif name not in ("folder", "digits"):
            splits = f"`{data['train_split']}` | `{data['eval_split']}`"
            assert f"| `{name}` | {splits} | {preset['num_classes']:,} |" in text
    for name, ((count, magnitude), alpha) in AUGMENTATIONS.items():
        assert f"| `{name}` | {count}, {magnitude:g} | {alpha:g} |" in text


def test_the_table_beside_timm_is_what_the_files_say():
    text = (ROOT / "docs" / "performance.md").read_text()
    for dtype in ("float32", "bfloat16"):
        found = json.loads((RESULTS / f"peers_cpu_{dtype}.json").read_text())["cases"]
        for name, case in (("here", "ours"), ("timm, compiled", "timm, compiled")):
            ratios = [
                found["timm"][phase]["cpu_seconds_per_call"]
                / found[case][phase]["cpu_seconds_per_call"]
                for phase in ("train", "inference")
            ]
            row = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            assert f"| {dtype}, {name} | {row} |" in text


def test_layouts_are_what_the_compiler_said():
    text = (ROOT / "docs" / "scaling.md").read_text()
    rows = json.loads((RESULTS / "layout.json").read_text())["rows"]
    rows = [row for row in rows if "1024 pixels" in row["case"]]
    assert len(rows) == 4
    for row in rows:
        mesh = row["case"].partition("pixels, ")[2]
        cells = f"{row['needed'] / 2**30:.1f} | {row['cycles'] / 1e6:,.0f} | "
        assert f"| {mesh} | {cells}{row['sent'] / 1e9:.1f} |" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_files_that_are_named_exist(path):
    named = re.findall(
        r"`((?:benchmarks|tests|docs|colabs)/[\w./-]*)`", path.read_text()
    )
    for name in named:
        assert (ROOT / name).exists(), name
