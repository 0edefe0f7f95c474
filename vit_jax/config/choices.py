"""Every choice that a config or an option names: where it is, and a line of help.

The rows are data. This room stands above those that implement them, so a row says
``"room.file:name"`` and nothing is imported before the choice is used. What a caller
registers stands in the same table, under a name of its own.
"""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from vit_jax.errors import ConfigError, check_choice


@dataclasses.dataclass(frozen=True)
class Choice:
    """One row of a table.

    Attributes:
      implementation: ``"room.file:name"`` below the package, or the thing itself.
      help: one line, printed beside the name.
      form: how it is written, ``folder:DIR``; "": by its name, or name and more.
      suffixes: of files that stand for the choice without its name: ``.csv``.
    """

    implementation: Any
    help: str
    form: str = ""
    suffixes: tuple[str, ...] = ()


class Choices(Mapping[str, Choice]):
    """A table of choices, in the order in which help and errors print them."""

    def __init__(self, what: str, rows: Mapping[str, Choice | tuple[str, str]]) -> None:
        self.what = what
        self._rows = {
            name: row if isinstance(row, Choice) else Choice(*row)
            for name, row in rows.items()
        }

    def __getitem__(self, name: str) -> Choice:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def check(self, where: str, name: str) -> None:
        """Raises ConfigError, "{where} must be one of ...", for an unknown name."""
        check_choice(where, name, self)

    def resolve(self, name: str) -> Any:
        """Returns what a name stands for, imported at its first use.

        Raises:
          ConfigError: an unknown name.
        """
        self.check(self.what, name)
        found = self._rows[name].implementation
        if not isinstance(found, str):
            return found
        module, _, attribute = found.partition(":")
        return getattr(importlib.import_module(f"vit_jax.{module}"), attribute)

    def list_forms(self) -> list[str]:
        """Returns every choice as it is written: ``digits``, ``folder:DIR``, ..."""
        return [row.form or name for name, row in self.items()]

    def register(
        self, name: str, implementation: Any, help: str = "", form: str = ""
    ) -> None:
        """Adds a choice of the caller's, so that a config finds it by name.

        Args:
          name: new in this table.
          implementation: what `resolve` returns; the table's protocol says what it is.
          help: one line, printed beside the name.
          form: how errors and help write it, such as ``mine:DIR``.

        Raises:
          ConfigError: the name is taken.
        """
        if name in self._rows and self._rows[name].implementation is not implementation:
            raise ConfigError(
                f'a new {self.what} must have a name that is not taken, got "{name}"; '
                "choose another"
            )
        self._rows[name] = Choice(implementation, help, form)


LOSSES = Choices(
    "loss",
    {
        "softmax": ("objectives.losses:softmax_loss", "cross-entropy; one label each"),
        "sigmoid": (
            "objectives.losses:sigmoid_loss",
            "binary cross-entropies, summed; for several labels an image",
        ),
    },
)

# Opened with (what follows the name's colon, split, DataConfig); see
# data/sources/source.py.
SOURCES = Choices(
    "data.source",
    {
        "digits": Choice(
            "data.sources.digits:open_digits",
            "1,797 handwritten digits; nothing to download",
            form="digits",
        ),
        "folder": Choice(
            "data.sources.folders:open_folder",
            "images, in one folder for each class",
            form="folder:DIR",
        ),
        "table": Choice(
            "data.sources.tables:open_table",
            "paths and labels in a CSV, TSV or JSON lines file",
            form="table:FILE",
            suffixes=(".csv", ".tsv", ".jsonl"),
        ),
        "tar": Choice(
            "data.sources.tars:open_tars",
            "tar files, as WebDataset's and ImageNet's own",
            form="tar:DIR",
            suffixes=(".tar",),
        ),
        "parquet": Choice(
            "data.sources.parquet:open_parquet",
            "image datasets as Hugging Face stores them",
            form="parquet:DIR",
            suffixes=(".parquet",),
        ),
        "tfds": Choice(
            "data.sources.tfds:open_tfds",
            "a TFDS dataset in ArrayRecord files",
            form="tfds:NAME[/CONFIG][:VERSION]",
        ),
    },
)
