"""The site builds without a warning; what the documents print and claim is so."""

import json
import re
import subprocess
import sys

import pytest

from configs.datasets import DATASETS
from configs.pretrain_augreg import AUGMENTATIONS
from tests.shell import DOCUMENTS, ROOT

RESULTS = ROOT / "benchmarks" / "results"


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


def test_the_gpu_is_what_its_file_says():
    text = " ".join((ROOT / "docs" / "performance.md").read_text().split())
    parts = json.loads((RESULTS / "gpu_nvidia_h200.json").read_text())["parts"]

    def found(phase, case, model="ViT-B/16, batch 256"):
        return parts[f"{phase} {model}, {case}"]

    rows = {
        "here, `attention=xla` (the default)": ("xla", "xla"),
        "here, `attention=cudnn`": ("cudnn", "cudnn"),
        "timm, eager": ("timm eager", "timm eager"),
        "timm, compiled; in inference, bfloat16 weights too": (
            "timm compiled",
            "timm compiled, bfloat16 weights",
        ),
    }
    for name, (training, inference) in rows.items():
        both = found("train", training), found("inference", inference)
        cells = " | ".join(f"{x['images_per_s']:,.0f} | {x['mfu']:.1%}" for x in both)
        assert f"| {name} | {cells} |" in text
    ours, plain = found("train", "cudnn"), found("train", "xla")
    rate = ours["images_per_s"]
    assert f"takes {plain['images_per_s'] / rate:.2f} times as long" in text
    memory = (f"{x['peak_memory'] / 2**30:.1f}" for x in (ours, plain))
    assert "{} GiB in place of {}".format(*memory) in text
    theirs = found("train", "timm compiled")["images_per_s"]
    assert f"{rate / theirs:.2f} times as fast as timm's best at that batch" in text
    theirs = found("inference", "timm compiled, bfloat16 weights")["images_per_s"]
    share = found("inference", "cudnn")["images_per_s"] / theirs
    assert f"{share:.2f} times in inference" in text
    most = found("train", "cudnn", "ViT-B/16, batch 512")["images_per_s"]
    assert f"With 512 images it trains {most:,.0f}" in text
    large = found("train", "cudnn", "ViT-L/16, batch 128")
    theirs = found("train", "timm eager", "ViT-L/16, batch 128")["images_per_s"]
    assert (
        f"{large['images_per_s']:,.0f} (MFU {large['mfu']:.1%}) beside {theirs:,.0f}"
        in text
    )
    product = parts["device"]["product_flops_per_s"]
    assert f"reached {product / 1e12:.0f} there" in text
    assert f"a training step of ViT-B/16 is {ours['share_of_product']:.0%}" in text
    kinds = ours["profile"]["by_kind"]
    total = sum(kinds.values())
    assert kinds["products"] / total == pytest.approx(0.5, abs=0.02)
    assert f"attention ({kinds['attention'] / total:.0%})" in text
    between = (kinds["reductions"] + kinds["pointwise"]) / total
    assert f"between the products ({between:.0%})" in text
    assert f"patch embedding ({kinds['patch embedding'] / total:.0%})" in text
    for row in parts["attention"]["rows"]:
        if "error" in row:
            low, high = {"xla": (0.004, 0.0055), "cudnn": (0.002, 0.0025)}[row["impl"]]
            assert all(low < x < high for x in row["error"].values())
    for part in parts.values():
        if part.get("peak_memory") and part.get("compiler_memory"):
            assert abs(part["peak_memory"] / part["compiler_memory"] - 1) < 0.005


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
