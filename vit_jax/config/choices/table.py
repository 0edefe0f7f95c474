"""What a table of choices is: names, where their implementations are, and help.

The rows are data. This room stands above those that implement them, so a row says
``"room.file:name"`` and nothing is imported before the choice is used. What a caller
registers is a row of the same table.
"""

import contextlib
import contextvars
import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vit_jax.errors import ConfigError, check, check_choice


class Choice(NamedTuple):
    """One row of a table.

    Attributes:
      implementation: ``"room.file:name"`` below the package, or the object itself; None
        where the name is all that there is, such as ``float32``.
      help: one line, printed beside the name.
      form: how to type it, such as ``folder:DIR``; "": its name.
      suffixes: of files that stand for the choice without its name, such as ``.csv``.
    """

    implementation: Any
    help: str
    form: str = ""
    suffixes: tuple[str, ...] = ()


class Choices(Mapping[str, Choice]):
    """A table of choices, in the order in which help and errors print them.

    Args:
      what: a noun for one of them, such as ``loss``.
      key: the config key or the option that names one, such as ``config.train.loss``.
      rows: by name.
    """

    def __init__(
        self, what: str, key: str, rows: Mapping[str, Choice | tuple[Any, str]]
    ) -> None:
        self.what = what
        self.key = key
        self._rows = {
            name: row if isinstance(row, Choice) else Choice(*row)
            for name, row in rows.items()
        }
        self._adopted: set[str] = set()

    def __getitem__(self, name: str) -> Choice:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def check(self, where: str, name: str) -> None:
        """Raises ConfigError, "{where} must be one of ...", for an unknown name."""
        if not _is_lenient.get():
            check_choice(where, name, self)

    def resolve(self, name: str) -> Any:
        """Returns the implementation of a choice, imported at its first use.

        Raises:
          ConfigError: an unknown name.
        """
        check_choice(self.key, name, self)
        found = self._rows[name].implementation
        if not isinstance(found, str):
            return found
        module, _, attribute = found.partition(":")
        return getattr(importlib.import_module(f"vit_jax.{module}"), attribute)

    def resolve_all(self) -> dict[str, Any]:
        """Returns the implementation of every choice, by name."""
        return {name: self.resolve(name) for name in self}

    def list_forms(self) -> list[str]:
        """Returns every choice as it is typed: ``digits``, ``folder:DIR``, ..."""
        return [row.form or name for name, row in self.items()]

    def format_names(self) -> str:
        """Returns every choice as it is typed, for a sentence: ``a, b or c``."""
        *others, last = self.list_forms()
        return f"{', '.join(others)} or {last}" if others else last

    def register(
        self, name: str, implementation: Any, help: str = "", form: str = ""
    ) -> None:
        """Adds a choice of the caller's, so that a config finds it by name.

        Defining a function again, as a notebook does, replaces it.

        Args:
          name: new in this table; a word, without colon or comma.
          implementation: what `resolve` returns; the table's protocol says what it is.
          help: one line, printed beside the name.
          form: how errors and help write it, such as ``mine:DIR``.

        Raises:
          ConfigError: the name is taken, or has other characters.
        """
        what = f"the name of a new {self.what}"
        check(re.fullmatch(r"[^\s:,]+", name) is not None, what, "one word", name)
        taken = self._rows.get(name)
        if taken and not _is_same(taken.implementation, implementation):
            raise ConfigError(
                f'{what} must not be taken, got "{name}"; choose another one'
            )
        self._rows[name] = Choice(implementation, help, form)

    def adopt(self, given: Any) -> str:
        """Adds an object handed over in Python, and returns the name it gets.

        That is the name of the function or of the object's class. Defining it again, as
        a notebook does, replaces what was adopted under that name before.

        Raises:
          ConfigError: a row of the table, or of `register`, has this name.
        """
        name = getattr(given, "__qualname__", None) or type(given).__qualname__
        if name in self._adopted:
            del self._rows[name]
        self.register(name, given, (given.__doc__ or "").partition("\n")[0].rstrip("."))
        self._adopted.add(name)
        return name


def _is_same(first: Any, second: Any) -> bool:
    """Returns whether two objects are one, or a function and its later definition."""
    names = [
        (getattr(one, "__module__", None), getattr(one, "__qualname__", None))
        for one in (first, second)
    ]
    return first is second or (names[0] == names[1] and None not in names[0])


_is_lenient = contextvars.ContextVar("is_lenient", default=False)


@contextlib.contextmanager
def accept_unknown() -> Iterator[None]:
    """Lets `Choices.check` pass a name that another process registered for its run.

    For the config in a checkpoint, which can be loaded without its optimizer.
    `Choices.resolve` still refuses what is not in its table.
    """
    token = _is_lenient.set(True)
    try:
        yield
    finally:
        _is_lenient.reset(token)
