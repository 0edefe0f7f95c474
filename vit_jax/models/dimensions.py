"""The dimensions of a resolved config, which are all given."""

from typing import TypeVar

T = TypeVar("T")

Size = tuple[int, int]  # (height, width) in pixels
Grid = tuple[int, int]  # patches (down, across)


def require(value: T | None) -> T:
    """Returns a dimension of a resolved config."""
    assert value is not None, "the config must be resolved"
    return value
