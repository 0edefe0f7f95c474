"""The notebooks run from top to bottom, define nothing, and carry no outputs."""

import ast
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra test")

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "colabs").glob("*.ipynb"))
COLAB = re.compile(r"https://colab\.research\.google\.com/github/([\w/-]+?)/blob/")
GIT = re.compile(r"git\+https://github\.com/([\w/-]+)")
# In one notebook, of which the cells share names.
MAGIC = re.compile(r"^(\s*)%(.*)$", re.MULTILINE)


def cells(path: Path, kind: str) -> list[str]:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return [cell.source for cell in found.cells if cell.cell_type == kind]


def test_all_are_here():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {"quickstart", "finetune", "look_inside", "checkpoints", "scale"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_they_define_nothing(path):
    code = MAGIC.sub(r"\1pass", "\n".join(cells(path, "code")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_one_cell_installs_and_a_badge_opens_it(path):
    installs = [cell for cell in cells(path, "code") if "%pip" in cell]
    assert installs == cells(path, "code")[:1]
    badge = f"/blob/main/colabs/{path.name})"
    assert badge in cells(path, "markdown")[0]
    assert badge in (ROOT / "README.md").read_text()


def test_one_owner_is_named_everywhere():
    texts = [path.read_text() for path in [ROOT / "README.md", *NOTEBOOKS]]
    owners = {
        name for text in texts for name in (*COLAB.findall(text), *GIT.findall(text))
    }
    assert len(owners) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    monkeypatch.setenv("VIT_JAX_OFFLINE", "1")
    monkeypatch.setenv("XLA_FLAGS", "")  # as many devices as a user has
    there = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{there}")
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        book,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    outputs = [out for cell in book.cells for out in cell.get("outputs", ())]
    assert outputs
    if path.stem == "look_inside":
        assert sum("image/png" in out.get("data", {}) for out in outputs) == 5
