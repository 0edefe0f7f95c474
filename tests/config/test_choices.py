"""The tables of choices: every row is real, and no list of them is typed twice."""

import subprocess
import sys

import pytest

from vit_jax.config import choices
from vit_jax.config.choices import Choices
from vit_jax.errors import ConfigError

TABLES = {
    name: table for name, table in vars(choices).items() if isinstance(table, Choices)
}
# Whose files are being written on another branch; to be removed when they land.
PENDING = ("OBJECTIVES", "OPTIMIZERS", "SCHEDULES")
ROWS = [
    pytest.param(
        name,
        row,
        marks=[pytest.mark.xfail(raises=ModuleNotFoundError)] * (name in PENDING),
    )
    for name, table in TABLES.items()
    for row in table
]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_every_row_resolves_and_has_help(table: str, row: str) -> None:
    choice = TABLES[table][row]
    assert choice.help
    assert "\n" not in choice.help
    assert not choice.help.endswith(".")
    if isinstance(choice.implementation, str):
        assert callable(TABLES[table].resolve(row))


def test_importing_the_tables_imports_neither_jax_nor_numpy() -> None:
    code = (
        "import vit_jax.config.choices, sys; "
        "sys.exit(bool({'jax', 'numpy', 'dataclasses'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_that_is_taken_is_refused() -> None:
    table = Choices("loss", "config.train.loss", {"softmax": (None, "")})
    with pytest.raises(ConfigError, match="must not be taken"):
        table.register("softmax", len)
    with pytest.raises(ConfigError, match="must be one word"):
        table.register("soft max", len)
    table.register("focal", len, "down-weights easy examples")
    table.register("focal", len, "again, as a notebook does")
    assert table.resolve("focal") is len
    assert table.format_names() == "softmax or focal"
