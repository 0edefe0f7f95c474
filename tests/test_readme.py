"""The commands in the documents are commands that exist, with options that exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from tests.models.test_variants import NUM_PARAMS
from vit_jax.cli import _make_parser
from vit_jax.config_file import load_config
from vit_jax.flops import multiply_adds
from vit_jax.models import VARIANTS
from vit_jax.published import WEIGHTS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(path.read_text()) if name == language]


def commands() -> list[tuple[str, list[str]]]:
    """Returns each command line of each document, split as a shell does."""
    found = []
    for path in DOCUMENTS:
        for body in blocks(path, "sh") + blocks(path, ""):
            for line in body.replace("\\\n", " ").splitlines():
                if line.split()[:1] in (["vit-jax"], ["make"]):
                    words = shlex.split(line, comments=True)
                    end = words.index(">") if ">" in words else len(words)
                    found.append((path.name, words[:end]))
    return found


def test_there_are_commands():
    names = {words[1] for _, words in commands()}
    assert {"demo", "train", "eval", "predict"} <= names


@pytest.mark.parametrize(("name", "words"), commands(), ids=lambda x: str(x)[:60])
def test_command_parses(name, words):
    if words[0] == "make":
        targets = re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        assert words[1] in targets
        return
    arguments, overrides = _make_parser().parse_known_args(words[1:])
    if "config" not in arguments:
        assert not overrides
        return
    folder, _, rest = arguments.config.partition("/")
    assert folder == "configs", "a document names a recipe that is here"
    load_config(str(ROOT / folder / rest), overrides)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_python_is_valid_and_its_names_exist(path):
    for body in blocks(path, "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [alias.name for alias in node.names]
                module = __import__(node.module, fromlist=names)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def model_row(name: str) -> str:
    """Returns the line of a model in the README's table."""
    cost = multiply_adds(VARIANTS[name], 1000, (224, 224)) / 1e9
    rows = [w for w in WEIGHTS.values() if w.model and w.model.variant == name]
    best = max(row.top1 or 0.0 for row in rows)
    millions = NUM_PARAMS[name] / 1e6
    return f"| {name} | {millions:,.1f} M | {cost:.1f} | {len(rows)} | {best:.1f}% |"


def test_models_are_counted():
    text = (ROOT / "README.md").read_text()
    table = re.search(r"\| model \| parameters.*?\n\n", text, re.DOTALL)
    assert table
    lines = table[0].splitlines()[2:-1]
    assert len(lines) > 8
    assert lines == [model_row(line.split("|")[1].strip()) for line in lines]
    assert f"{len(VARIANTS)}\nvariants" in text or f"{len(VARIANTS)} variants" in text
