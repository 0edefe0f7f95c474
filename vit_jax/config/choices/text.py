"""The tables as people read them: in ``--help`` and as docs/choices.md."""

import textwrap

from vit_jax.config import choices
from vit_jax.config.choices.table import Choices

_HEADER = """\
# Choices

Each table lists what a config key or an option of a command can name. A misspelled name
is an error that lists the table.

A program adds choices of its own before it trains, and from then on a config finds them
by name:

```python
import optax

from vit_jax.config.choices import LOSSES


def focal_loss(logits, targets):
    return optax.losses.sigmoid_focal_loss(logits, targets).sum(axis=-1)


LOSSES.register("focal", focal_loss, "down-weights easy examples")
```

A config file may do so as well: its choices are known once it has been read. What an
implementation is called with and what it returns is written above its table in
`vit_jax/config/choices/`. Run as a program, the module `vit_jax.config.choices.text`
prints this page.
"""


def list_tables() -> list[tuple[str, Choices]]:
    """Returns the name and the table of every choice: config keys first, by key."""
    tables = [
        (name, table)
        for name, table in vars(choices).items()
        if isinstance(table, Choices)
    ]
    return sorted(tables, key=lambda row: (row[1].key[:7] != "config.", row[1].key))


def format_config_help() -> str:
    """Returns the config keys that are choices, and what each can name."""
    lines = ["config values that are names:"]
    for _, table in list_tables():
        if table.key.startswith("config."):
            lines += textwrap.wrap(
                f"--{table.key}: {', '.join(table.list_forms())}",
                width=78,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines) + "\n"


def format_page() -> str:
    """Returns docs/choices.md."""
    return "\n".join([_HEADER, *(_format_table(*row) for row in list_tables())])


def _format_table(name: str, table: Choices) -> str:
    lines = [
        f"## {table.what.capitalize()}\n",
        f"`{table.key}`, from `config.choices.{name}`.\n",
        "| name | what it is |",
        "|---|---|",
    ]
    for key, row in table.items():
        suffixes = (
            f" ({', '.join(f'`{s}`' for s in row.suffixes)})" if row.suffixes else ""
        )
        lines.append(f"| `{row.form or key}` | {row.help}{suffixes} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(format_page(), end="")
