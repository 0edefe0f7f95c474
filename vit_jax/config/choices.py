"""Every choice that a config or an option names: where it is, and a line of help.

The rows are data. This room stands above those that implement them, so a row says
``"room.file:name"`` and nothing is imported before the choice is used. What a caller
registers stands in the same table, under a name of its own.
"""

import contextlib
import contextvars
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
        """Returns what a name stands for, imported at its first use.

        Raises:
          ConfigError: an unknown name.
        """
        check_choice(self.what, name, self)
        found = self._rows[name].implementation
        if not isinstance(found, str):
            return found
        return import_named(found)

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

    def adopt(self, given: Any) -> str:
        """Adds what was handed over in Python, and returns the name it has from now on.

        That is the name of the function or of the object's class. Defining it anew, as
        a notebook does, replaces what was adopted under that name before.

        Raises:
          ConfigError: a row of the table, or of `register`, has this name.
        """
        name = getattr(given, "__qualname__", None) or type(given).__qualname__
        if name in self._adopted:
            del self._rows[name]
        self.register(name, given, (given.__doc__ or "").partition("\n")[0])
        self._adopted.add(name)
        return name


def import_named(where: str) -> Any:
    """Returns what ``"room.file:name"`` stands for, below the package."""
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(f"vit_jax.{module}"), attribute)


_is_lenient = contextvars.ContextVar("is_lenient", default=False)


@contextlib.contextmanager
def accept_unknown() -> Iterator[None]:
    """Lets `check` pass any name: of what another process registered for its run.

    For the config in a checkpoint, which can be loaded without its optimizer. `resolve`
    still refuses what is not in its table.
    """
    token = _is_lenient.set(True)
    try:
        yield
    finally:
        _is_lenient.reset(token)


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

OBJECTIVES = Choices(
    "objective",
    {
        "classify": (
            "objectives.classify:make_classify",
            "predict the labels; the loss is config.train.loss",
        ),
    },
)

OPTIMIZERS = Choices(
    "optimizer",
    {
        "sgd": ("training.optimizers:make_sgd", "momentum"),
        "adam": ("training.optimizers:make_adam", "without weight decay"),
        "adamw": ("training.optimizers:make_adam", "decoupled weight decay"),
    },
)

SCHEDULES = Choices(
    "schedule",
    {
        "cosine": ("training.schedules:make_cosine", "to 0, along half a cosine"),
        "linear": ("training.schedules:make_linear", "to config.optim.linear_end"),
        "constant": ("training.schedules:make_constant", "stays after the warm-up"),
    },
)

AUGMENTATIONS = Choices(
    "augmentation",
    {
        "none": ("data.augment.device:keep_images", "nothing"),
        "three": (
            "data.augment.color:three_augment",
            "grayscale, solarization or blur (DeiT III)",
        ),
    },
)
