"""The package carries its types: a user's program passes a strict check against it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CONSUMER = Path(__file__).with_name("consumer.py")

# Of jax, whose own annotations are not complete; each is about an expression of its.
NOT_OURS = {
    f"reportUnknown{what}Type": False for what in ("Argument", "Member", "Variable")
}


def run_pyright(folder: Path, text: str) -> list[str]:
    """Returns the errors that a strict check finds in a program in an empty folder."""
    (folder / "program.py").write_text(text)
    settings = {
        "include": ["program.py"],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings | NOT_OURS))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--project", str(folder),
         "--pythonpath", sys.executable],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [
        f"{one['range']['start']['line'] + 1}: {one['message']}"
        for one in found
        if one["severity"] == "error"
    ]


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "vit_jax" / "py.typed").exists()


@pytest.mark.slow
def test_a_program_of_a_user_passes_a_strict_check(tmp_path):
    pytest.importorskip("pyright", reason="needs the extra test")
    assert not run_pyright(tmp_path, CONSUMER.read_text())


@pytest.mark.slow
def test_a_mistake_of_a_user_is_found(tmp_path):
    pytest.importorskip("pyright", reason="needs the extra test")
    text = CONSUMER.read_text().replace("config.data.image_size", "config.data.size")
    assert "size" in "".join(run_pyright(tmp_path, text))
