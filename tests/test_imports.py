"""What importing loads, and in which direction the files import each other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import import_graph

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vit_jax"
EDGES = import_graph.read_imports(ROOT)

# Never needed to import, train or predict.
HEAVY = {"tensorflow", "torch", "pandas", "gcsfs"}

# The order of the rooms: a file imports only from files above it.
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
from vit_jax import evaluate, train
from vit_jax.data.export import export_images
from pathlib import Path
train(change(TINY, train={{"total_steps": 3}}), {str(tmp_path)!r})
evaluate({str(tmp_path)!r})
export_images("digits", Path({str(tmp_path)!r}) / "images", "test[:2]")
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


def test_every_file_stands_in_a_room():
    rooms = {import_graph.find_room(module) for module in EDGES}
    assert rooms - {"__init__"} == set(ORDER)


def test_files_import_only_from_files_above_them():
    """Rooms in ORDER; inside a room its files have an order too: there is no circle."""
    assert not import_graph.find_violations(EDGES, ORDER)
    files = import_graph.sort_files(EDGES, ORDER)
    for index, file in enumerate(files):
        assert set(EDGES[file]) <= set(files[:index])


def test_a_circle_is_found_with_its_chain(tmp_path):
    """Through a facade and from inside a function, as a circle hides best."""
    package = tmp_path / "vit_jax"
    (package / "data").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "data/__init__.py": "from vit_jax.data.a import one",
        "data/a.py": "def one():\n    from vit_jax.data import b",
        "data/b.py": "from .c import two",
        "data/c.py": "from vit_jax.data import one\ndef two(): ...",
    }.items():
        (package / name).write_text(text)
    edges = import_graph.read_imports(tmp_path)
    with pytest.raises(ValueError, match=r"data\.a -> .*data\.b -> .*data\.c -> .*a$"):
        import_graph.sort_files(edges, ["data"])
    assert not import_graph.find_violations(edges, ["data"])
    assert import_graph.find_violations({"vit_jax.data.a": {"vit_jax.cli": 3}}, ORDER)


def test_no_drawers():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "common", "helpers", "misc"}
