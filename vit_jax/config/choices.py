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
    """One row: ``"room.file:name"`` below the package or the thing itself, and help."""

    implementation: Any
    help: str


class Choices(Mapping[str, Choice]):
    """A table of choices, in the order in which help and errors print them."""

    def __init__(self, what: str, rows: Mapping[str, tuple[str, str]]) -> None:
        self.what = what
        self._rows = {name: Choice(*row) for name, row in rows.items()}

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

    def register(self, name: str, implementation: Any, help: str = "") -> None:
        """Adds a choice of the caller's, so that a config finds it by name.

        Args:
          name: new in this table.
          implementation: what `resolve` returns; the table's protocol says what it is.
          help: one line, printed beside the name.

        Raises:
          ConfigError: the name is taken.
        """
        if name in self._rows and self._rows[name].implementation is not implementation:
            raise ConfigError(
                f'a new {self.what} must have a name that is not taken, got "{name}"; '
                "choose another"
            )
        self._rows[name] = Choice(implementation, help)


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

# In the order in which they are asked whether a file's names are theirs.
FORMATS = Choices(
    "format",
    {
        "big_vision": (
            "checkpoints.formats.big_vision:FORMAT",
            "big_vision's .npz; images' tower of two-tower models",
        ),
        "google": (
            "checkpoints.formats.google:FORMAT",
            "the original's .npz, as its modules are named today",
        ),
        "google_prelinen": (
            "checkpoints.formats.google:PRELINEN",
            "the original's .npz, as its released files are named",
        ),
        "timm": (
            "checkpoints.formats.timm:FORMAT",
            "timm's .safetensors, or a folder with its config.json",
        ),
        "huggingface": (
            "checkpoints.formats.huggingface:FORMAT",
            "transformers' .safetensors, or a folder with its configs",
        ),
    },
)
