"""Position embeddings for another image size, and for other prefix tokens."""

import math

import numpy as np

from vit_jax.checkpoints.adapt.resample import Grid, resample
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models import POSITION, count_prefix, find_family
from vit_jax.models.positions import FREE, LINES, TABLE


def resample_positions(
    table: np.ndarray, prefix: int, old: Grid, new: Grid, method: str
) -> np.ndarray:
    """Returns a position embedding [1 n d] for another grid of patches.

    Args:
        table: one row for each prefix token, then one for each patch.
        prefix: how many rows come before the patches; they stay as they are.
        old: patches (down, across) of the table.
        new: patches (down, across) of the result.
        method: see `resample.resample`.
    """
    width = table.shape[-1]
    grid = resample(table[0, prefix:].reshape(*old, width), new, method)
    grid = grid.reshape(1, -1, width).astype(table.dtype)
    return np.concatenate([table[:, :prefix], grid], axis=1)


def fit_prefix(
    tree: dict[str, Lazy], source: ModelConfig, target: ModelConfig, notes: list[str]
) -> None:
    """Adds positions of prefix tokens that are zero, or adds them to the tokens."""
    count = count_prefix(source)
    if POSITION not in tree or source.posemb_prefix == target.posemb_prefix:
        return
    table, (_, rows, width) = tree[POSITION], tree[POSITION].shape
    if not count or count != count_prefix(target):
        return
    if target.posemb_prefix:
        pad = ((0, 0), (count, 0), (0, 0))
        shape = (1, rows + count, width)
        tree[POSITION] = table.map(lambda x: np.pad(x, pad), shape)
        return
    tree[POSITION] = table.map(lambda x: x[:, count:], (1, rows - count, width))
    start = 0
    for name in ("cls", "dist", "registers"):
        if name in tree:
            stop = start + tree[name].shape[1]
            tree[name] = _plus_rows(tree[name], table, start, stop)
            start = stop
    notes.append("positions of class token and registers are added to the tokens")


def _plus_rows(token: Lazy, table: Lazy, start: int, stop: int) -> Lazy:
    return token.map(lambda x: x + np.asarray(table)[:, start:stop])


def resample_all(
    tree: dict[str, Lazy],
    target: ModelConfig,
    old: Grid | None,
    new: Grid,
    method: str,
    notes: list[str],
) -> None:
    """Resamples whatever depends on the grid.

    Raises:
        ConfigError: parameters that cannot be resampled depend on it.
    """
    positions = find_family(target).describe_positions(target)
    if positions.layout == FREE or (old == new and positions.layout != TABLE):
        return
    if positions.layout == TABLE:
        (name,) = positions.arrays
        if name not in tree or not _resample_table(
            tree, name, positions.num_prefix, old, new, method
        ):
            return
    elif positions.layout == LINES:
        if old is None:
            return
        for name, length in zip(positions.arrays, new, strict=True):
            if name in tree:
                tree[name] = _resample_line(tree[name], length, method)
    elif old is not None:
        raise ConfigError(
            f"image_size must keep {old} patches, which this model has in its "
            f"parameters, got {new}; use the checkpoint's own image size"
        )
    else:
        return
    notes.append(f"positions resampled from {old} to {new} patches ({method})")


def _resample_table(
    tree: dict[str, Lazy],
    name: str,
    prefix: int,
    old: Grid | None,
    new: Grid,
    method: str,
) -> bool:
    """Resamples a table of positions; returns whether it changed."""
    table = tree[name]
    if old is None:
        if table.shape[1] - prefix == math.prod(new):
            return False
        raise ConfigError(
            f"the checkpoint's {table.shape[1] - prefix} patches are not a square, and "
            "it does not give their rows and columns; use its own image size"
        )
    if old == new:
        return False
    shape = (1, prefix + math.prod(new), table.shape[2])
    tree[name] = table.map(
        lambda x: resample_positions(x, prefix, old, new, method), shape
    )
    return True


def _resample_line(table: Lazy, length: int, method: str) -> Lazy:
    shape = (1, length, table.shape[2])
    return table.map(lambda x: resample(x, (1, length), method), shape)
