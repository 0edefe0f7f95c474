"""What the documents name is there: functions, files, models."""

import ast
import re

import pytest

from tests.models.test_variants import NUM_PARAMS
from tests.shell import DOCUMENTS, ROOT, blocks
from vit_jax.models import VARIANTS
from vit_jax.models.flops import count_multiply_adds
from vit_jax.weights.published import WEIGHTS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_python_is_valid_and_its_names_exist(path):
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block.body)):
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
    cost = count_multiply_adds(VARIANTS[name], 1000, (224, 224)) / 1e9
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
