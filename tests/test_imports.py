"""What importing costs, and in which direction the files import each other."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vit_jax"

# Never needed to import, train or predict.
HEAVY = {"tensorflow", "torch", "pandas", "gcsfs"}

# The order of the house: a file imports only from files above it.
ORDER = [
    "_version", "errors", "config", "storage", "mesh", "data", "models", "objectives", "weights",
    "checkpoints", "training", "infer", "plan", "evaluators", "figures", "report", "bench",
    "doctor", "cli", "__main__",
]  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Returns the top-level modules that a fresh interpreter has after ``code``."""
    code += (
        "\nimport sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names = json.loads(result.stderr.splitlines()[-1])
    return {name.partition(".")[0] for name in names}


def test_import_is_light():
    assert not modules_after("import vit_jax") & {*HEAVY, "jax", "flax", "cv2"}


def test_help_imports_no_jax():
    code = (
        "from vit_jax.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    )
    assert not modules_after(code) & {*HEAVY, "jax", "numpy", "ml_collections"}


def test_training_and_prediction_need_no_tensorflow(tmp_path):
    code = f"""
from tests.runs import TINY, change
from vit_jax import Predictor
from vit_jax.evaluate import evaluate
from vit_jax.train import train
from vit_jax.data.export import export
from pathlib import Path
train(change(TINY, train={{"total_steps": 3}}), {str(tmp_path)!r})
evaluate({str(tmp_path)!r})
export("digits", Path({str(tmp_path)!r}) / "images", "test[:2]")
paths = list((Path({str(tmp_path)!r}) / "images").rglob("*.png"))
assert not Predictor({str(tmp_path)!r}).predict(paths)[0].error
"""
    assert not modules_after(code) & HEAVY


def test_public_names_exist_and_are_all_listed():
    import vit_jax

    for name in vit_jax.__all__:
        assert getattr(vit_jax, name) is not None
    assert set(vit_jax.__all__) == set(vit_jax._HOME)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = vit_jax.nope  # pyright: ignore[reportAttributeAccessIssue]


def imports_of(path: Path) -> set[str]:
    """Returns the names below ``vit_jax`` that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["vit_jax"]:
                found |= {alias.name for alias in node.names}
            elif parts[0] == "vit_jax":
                found.add(parts[1])
        if isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("vit_jax.")
            }
    return found


def test_files_import_only_from_files_above_them():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name in ("__init__", "configs"):
            continue
        assert name in ORDER, f"say in ORDER where {name} stands"
        above = set(ORDER[: ORDER.index(name) + 1])
        assert imports_of(path) <= above, f"{path} imports {imports_of(path) - above}"


def test_no_drawers():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "common", "helpers", "misc"}
