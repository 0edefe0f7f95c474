"""Lengths, names and seams of the package, as `benchmarks/structure.py` measures them."""

import ast
import functools
import re
from pathlib import Path

import pytest

from benchmarks import additions, structure, verbs
from vit_jax.config import choices
from vit_jax.config.file import load_config
from vit_jax.errors import ConfigError
from vit_jax.training.resolve import resolve_config

ROOT = Path(__file__).parent.parent
TREES = structure.parse_package(ROOT)

# Addition -> how many files it may touch beside its test.
MOST_FILES = dict.fromkeys(
    ["head", "loss", "optimizer", "schedule", "augmentation", "source", "evaluator",
     "figure", "format", "objective", "gradient scheme", "change of parameters"], 2,
) | {"block option": 3, "position embedding": 4}  # fmt: skip


@pytest.fixture
def parse():
    """Returns the trees of a package of one file."""
    return lambda text, path="vit_jax/cli/x.py": {path: ast.parse(text)}


def test_no_file_is_too_long():
    assert not structure.find_too_long(structure.count_lines(ROOT), structure.MAX_FILE)


def test_no_function_is_too_long():
    lengths = structure.measure_functions(TREES)
    assert not structure.find_too_long(lengths, structure.MAX_FUNCTION)


def test_only_models_know_the_families():
    assert not structure.find_family_questions(TREES)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('if model.family == "mixer": ...', 1),
        ('if (model.family or "vit") in ("vit", "hybrid"): ...', 1),
        ("table[str(loaded.config.family)]", 1),
        ("names.get(family, 0)", 1),
        ("match model.family:\n    case 'vit': ...", 1),
        ('name_of(model) == "mixer"', 1),
        ("print(model.family)", 0),
        ("name = model.variant or model.family", 0),
    ],
)
def test_a_family_question_is_found(parse, text, count):
    assert len(structure.find_family_questions(parse(text))) == count
    inside = parse(text, "vit_jax/models/x.py")
    assert not structure.find_family_questions(inside)


def test_no_two_public_things_share_a_name():
    assert not structure.find_twins(TREES)


def test_functions_begin_with_verbs():
    assert not structure.find_nouns(TREES, public=True)


def test_what_is_measured():
    tree = ast.parse("def a():\n  def b():\n    return 1\n  return b\nclass C: ...")
    trees = {"vit_jax/x.py": tree, "vit_jax/y.py": ast.parse("class C: ...")}
    lengths = {"vit_jax/x.py:1 a": 4, "vit_jax/x.py:2 b": 2}
    assert structure.measure_functions(trees) == lengths
    assert structure.find_too_long(lengths, 3) == ["vit_jax/x.py:1 a (4 lines)"]
    assert structure.find_twins(trees) == {"C": ["vit_jax/x.py", "vit_jax/y.py"]}
    assert structure.find_nouns(trees, public=True) == ["vit_jax/x.py:1 a"]
    assert verbs.begins_with_verb("_make_mesh")
    assert verbs.begins_with_verb("checks_to_json")
    assert not verbs.begins_with_verb("basis")


def test_files_to_touch_exist():
    assert additions.read_table(ROOT), "docs/design.md must have the table"
    assert not additions.find_missing(ROOT)


@functools.cache
def touched() -> dict[str, list[str]]:
    return additions.read_table(ROOT)


@pytest.mark.parametrize(("row", "most"), MOST_FILES.items())
def test_an_addition_touches_few_files(row, most):
    assert 0 < len(touched()[row]) <= most


def tables() -> dict[str, str]:
    """Returns addition -> the table of choices that the document names."""
    text = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| ([\w ]+) \| `.*[;|] `([A-Z]+)` \|$", text, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize(("row", "name"), tables().items())
def test_a_registered_choice_is_found_and_printed(row, name):
    """What the document promises of each table, and where a config names the choice."""
    table = getattr(choices, name)
    assert any(path.startswith("config/choices/") for path in touched()[row])
    toy = object()
    with pytest.raises(ConfigError, match="toy_choice"):
        table.resolve("toy_choice")
    table.register("toy_choice", toy, "for a test")
    try:
        assert table.resolve("toy_choice") is toy
        with pytest.raises(ConfigError, match="toy_choice"):  # among those to choose
            table.resolve("no such thing")
        if table.key.startswith("config.") and name != "SOURCES":  # opened, not checked
            override = f"--{table.key}=toy_choice"
            config = load_config("configs/digits.py", [override])
            assert "toy_choice" in repr(config)
            with pytest.raises(ConfigError):
                resolve_config(
                    load_config("configs/digits.py", [f"--{table.key}=no:such"])
                )
    finally:
        del table._rows["toy_choice"]


def test_every_table_of_the_document_is_walked():
    assert len(tables()) == 11


def test_every_addition_has_a_bound():
    assert set(touched()) == set(MOST_FILES) == set(additions.BEFORE)
