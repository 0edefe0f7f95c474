"""The tables of choices: every row is real, and no list of them is typed twice."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vit_jax.cli import main
from vit_jax.config import choices
from vit_jax.config.choices import LOSSES, Choices, accept_unknown
from vit_jax.config.choices.text import list_tables
from vit_jax.config.file import load_config
from vit_jax.errors import ConfigError
from vit_jax.training.resolve import resolve_config

ROOT = Path(__file__).parent.parent.parent
DIGITS = str(ROOT / "configs" / "digits.py")
TABLES = dict(list_tables())
ROWS = [(name, row) for name, table in TABLES.items() for row in table]
# Sources are checked where they are opened: a path or a TFDS name is one, too.
CONFIG_TABLES = [
    table
    for table in TABLES.values()
    if table.key.startswith("config.") and table.key != "config.data.source"
]


def double(logits, targets):
    """Stands for a loss of the caller's."""
    return 2 * (logits - targets).sum(axis=-1)


@pytest.fixture
def own_loss(monkeypatch) -> str:
    """The name of a loss that is registered while the test runs."""
    monkeypatch.setattr(LOSSES, "_rows", dict(LOSSES._rows))
    LOSSES.register("double", double, "twice the difference")
    return "double"


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_every_row_resolves_and_has_help(table: str, row: str) -> None:
    choice = TABLES[table][row]
    assert choice.help
    assert "\n" not in choice.help
    assert not choice.help.endswith(".")
    if isinstance(choice.implementation, str):
        assert TABLES[table].resolve(row) is not None


def test_every_table_is_public_and_has_a_key_of_its_own() -> None:
    assert set(TABLES) <= set(choices.__all__)
    folder = ROOT / "vit_jax" / "config" / "choices"
    made = [re.findall(r"^(\w+) = Choices\(", path.read_text(), re.MULTILINE)
            for path in folder.glob("*.py")]  # fmt: skip
    assert sorted(TABLES) == sorted(name for names in made for name in names)
    assert len({table.key for table in TABLES.values()}) == len(TABLES)


@pytest.mark.parametrize("table", CONFIG_TABLES, ids=lambda table: table.key)
def test_every_key_is_checked_against_its_table(table: Choices) -> None:
    names = re.escape(", ".join(table))
    message = rf'{re.escape(table.key)} must be one of {names}, got "nope"'
    with pytest.raises(ConfigError, match=message):
        resolve_config(load_config(DIGITS, [f"--{table.key}=nope"]))


def test_importing_the_tables_imports_neither_jax_nor_numpy() -> None:
    code = (
        "import vit_jax.config.choices.text, sys; "
        "sys.exit(bool({'jax', 'numpy', 'ml_collections'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_registered_row_is_seen_everywhere(own_loss, capsys) -> None:
    config = load_config(DIGITS, [f"--config.train.loss={own_loss}"])
    assert LOSSES.resolve(config.train.loss) is double
    message = 'must be one of softmax, sigmoid, double, got "duble"; did you mean "dou'
    with pytest.raises(ConfigError, match=message):
        load_config(DIGITS, ["--config.train.loss=duble"])
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--config.train.loss: softmax, sigmoid, double\n" in capsys.readouterr().out


def test_a_config_file_may_register_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(LOSSES, "_rows", dict(LOSSES._rows))
    path = tmp_path / "mine.py"
    path.write_text(
        f"import runpy\n"
        "from vit_jax.config.choices import LOSSES\n"
        "def half(logits, targets):\n"
        "    return (logits - targets).sum(axis=-1) / 2\n"
        "LOSSES.register('half', half)\n"
        "def get_config():\n"
        f"    config = runpy.run_path({DIGITS!r})['get_config']()\n"
        "    config.train.loss = 'half'\n"
        "    return config\n"
    )
    for _ in range(2):  # read again, the function is defined again
        assert load_config(str(path)).train.loss == "half"
    assert LOSSES.resolve("half").__name__ == "half"


def test_names_that_are_refused() -> None:
    table = Choices("loss", "config.train.loss", {"softmax": (None, "")})
    with pytest.raises(ConfigError, match="must not be taken"):
        table.register("softmax", double)
    with pytest.raises(ConfigError, match="must be one word"):
        table.register("soft max", double)
    table.register("double", double, "twice the difference")
    with pytest.raises(ConfigError, match=r'must not be taken, got "double"'):
        table.register("double", len)
    assert table.resolve("double") is double
    assert table.format_names() == "softmax or double"
    with pytest.raises(ConfigError, match=r"config.train.loss must be one of softmax"):
        table.resolve("sigmoid")


def test_an_adopted_function_gets_its_own_name() -> None:
    table = Choices("loss", "config.train.loss", {"softmax": (None, "")})
    assert table.adopt(double) == "double"
    assert table.adopt(double) == "double"
    assert table["double"].help == "Stands for a loss of the caller's"
    table.register("len", double)
    with pytest.raises(ConfigError, match="must not be taken"):
        table.adopt(len)


def test_a_name_of_another_process_can_be_read_but_not_used() -> None:
    with accept_unknown():
        LOSSES.check("config.train.loss", "theirs")
        with pytest.raises(ConfigError, match='got "theirs"'):
            LOSSES.resolve("theirs")
    with pytest.raises(ConfigError, match='got "theirs"'):
        LOSSES.check("config.train.loss", "theirs")


def test_the_page_is_what_the_tables_say() -> None:
    command = [sys.executable, "-m", "vit_jax.config.choices.text"]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "choices.md").read_text() == page, (
        "write the page anew: python -m vit_jax.config.choices.text > docs/choices.md"
    )


def lists_of_names(path: Path) -> Iterator[tuple[int, set[str]]]:
    """Yields the line and the words of each tuple, list, set, dict and sentence."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        words: list[object] = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            words = [e.value for e in node.elts if isinstance(e, ast.Constant)]
        elif isinstance(node, ast.Dict):
            words = [k.value for k in node.keys if isinstance(k, ast.Constant)]
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            words = list(re.split(r"(?:,| or| and)\s+", str(node.value)))
        yield getattr(node, "lineno", 0), {w for w in words if isinstance(w, str)}


# Where three rows of a table are named on purpose: (path, table) -> why.
EXEMPT = {
    ("report/sections.py", "FIGURES"): "those that a report shows",
    ("plan/search.py", "REMAT"): "the order in which they are tried, by cost",
}


def test_no_list_of_choices_is_typed_twice() -> None:
    package = ROOT / "vit_jax"
    typed = [
        f"{path.relative_to(package)}:{line} names {', '.join(sorted(found))} of {name}"
        for path in sorted(package.rglob("*.py"))
        # A format's rules say which rows it can hold, and what it calls them.
        if not {package / "config/choices", package / "checkpoints/formats"}
        & set(path.parents)
        for line, words in lists_of_names(path)
        for name, table in TABLES.items()
        if len(found := words & set(table)) >= 3
        and (str(path.relative_to(package)), name) not in EXEMPT
    ]
    assert not typed, "\n".join(typed)
