"""A user's mistake, in one line, and the checks that report it."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A user's mistake, reported in one line; the command line exits with code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``'; did you mean "x"?'`` for the closest known name, or the known."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(known)}"


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Raises ConfigError unless ``value`` is one of ``known``."""
    known = list(known)
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise ConfigError(
            f'{what} must be one of {", ".join(known)}, got "{value}"{hint}'
        )


def check(ok: bool, what: str, rule: str, value: object) -> None:
    """Raises ConfigError, "{what} must be {rule}, got {value}", unless ``ok``."""
    if not ok:
        raise ConfigError(f"{what} must be {rule}, got {value!r}")
