"""Position embeddings for another image size, and for other prefix tokens."""

import math

import numpy as np

from vit_jax.checkpoints.adapt.resample import Grid, resample
from vit_jax.checkpoints.layout import POSITION, num_prefix
from vit_jax.checkpoints.lazy import Lazy
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError


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
    count = num_prefix(source)
    if POSITION not in tree or source.posemb_prefix == target.posemb_prefix:
        return
    table, (_, rows, width) = tree[POSITION], tree[POSITION].shape
    if not count or count != num_prefix(target):
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
    """Resamples whatever depends on the grid."""
    prefix = num_prefix(target) if target.posemb_prefix else 0
    if POSITION in tree:
        table = tree[POSITION]
        if old is None:
            if table.shape[1] - prefix == math.prod(new):
                return
            raise ConfigError(
                f"the checkpoint's {table.shape[1] - prefix} patches are not square, and "
                f"it does not give their rows and columns; use its own image size"
            )
        if old == new:
            return
        shape = (1, prefix + math.prod(new), table.shape[2])
        tree[POSITION] = table.map(
            lambda x: resample_positions(x, prefix, old, new, method), shape
        )
    elif f"{POSITION}_rows" in tree and old not in (None, new):
        for name, length in zip(("rows", "columns"), new, strict=True):
            table = tree[f"{POSITION}_{name}"]
            tree[f"{POSITION}_{name}"] = _resample_line(table, length, method)
    elif (
        old == new
        or old is None
        or (target.posemb != "relative" and target.family != "mixer")
    ):
        return
    else:
        raise ConfigError(
            f"image_size must keep {old} patches, which this model has in its "
            f"parameters, got {new}; use the checkpoint's own image size"
        )
    notes.append(f"positions resampled from {old} to {new} patches ({method})")


def _resample_line(table: Lazy, length: int, method: str) -> Lazy:
    shape = (1, length, table.shape[2])
    return table.map(lambda x: resample(x, (1, length), method), shape)
