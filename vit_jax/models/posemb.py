"""Where a token is: the position embeddings of the paper's ablation, and two since.

| kind        | where it acts          | source                                          |
|-------------|------------------------|-------------------------------------------------|
| `learned`   | added to the tokens    | ViT (arXiv:2010.11929), equation 1              |
| `learned2d` | added to the patches   | ViT, appendix D.4, "2-dimensional"              |
| `sincos2d`  | added to the patches   | MoCo v3 (arXiv:2104.02057), and big_vision      |
| `relative`  | bias of the attention  | ViT, appendix D.4, "relative"; arXiv:1803.02155 |
| `rope2d`    | rotates query and key  | RoPE-ViT, axial (arXiv:2403.13298)              |
| `none`      | nowhere                | ViT, appendix D.4                               |

What the prefix (class token, distillation token, registers) gets: in `learned` a row
each, unless `posemb_prefix` is off, as timm's `no_embed_class` has it; in `relative` it
comes before the patches and counts in the offsets; in all others nothing. It is a
learned vector itself, so that a learned row would add no freedom.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen as nn
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models.dimensions import Grid
from vit_jax.models.positions import FIXED, FREE, LINES, POSITION, TABLE, Positions

_init = nn.initializers.normal(stddev=0.02)


class PositionEmbedding(nn.Module):
    """Adds the table of the config's kind to the tokens."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b n d"], grid: Grid
    ) -> Float[Array, "b n d"]:
        num_prefix = tokens.shape[1] - grid[0] * grid[1]
        make_table = POSEMBS[self.config.posemb].make_table
        assert make_table is not None, "nothing is added"
        rows = num_prefix if self.config.posemb_prefix else 0
        table = make_table(self, grid, tokens.shape[-1], rows)
        missing = tokens.shape[1] - table.shape[1]
        table = jnp.pad(table, ((0, 0), (missing, 0), (0, 0)))
        return tokens + table.astype(self.config.dtype)


def join_rows_and_columns(
    rows: Float[Array, "1 y f"], columns: Float[Array, "1 x f"]
) -> Float[Array, "1 y*x 2*f"]:
    """Returns a table of every pair: a patch's row in one half, its column in the other.

    The column (the X-embedding of appendix D.4) comes first, as in the paper.
    """
    shape = (1, rows.shape[1], columns.shape[1], rows.shape[2])
    across = jnp.broadcast_to(columns[:, None], shape)
    down = jnp.broadcast_to(rows[:, :, None], shape)
    return rearrange(jnp.concatenate([across, down], axis=-1), "1 y x d -> 1 (y x) d")


def sincos2d(grid: Grid, width: int) -> Float[np.ndarray, "n d"]:
    """Returns the fixed table ``[sin x, cos x, sin y, cos y]``, in float32.

    Frequencies fall from 1 to 1/10000, both ends included, as in big_vision; that is
    why the exponent is divided by ``width / 4 - 1``.

    Args:
        grid: patches (down, across).
        width: d; a multiple of 4, at least 8.

    Raises:
        ValueError: if the width does not fit.
    """
    if width % 4 or width < 8:
        raise ValueError(
            f"hidden_size must be a multiple of 4 and at least 8, got {width}; "
            "change it, or posemb from sincos2d"
        )
    quarter = width // 4
    omega = 10_000.0 ** -(np.arange(quarter) / (quarter - 1))
    y, x = np.mgrid[: grid[0], : grid[1]].reshape(2, -1, 1) * omega
    table = np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=-1)
    return table.astype(np.float32)


def rope2d_angles(
    grid: Grid, head_dim: int, num_prefix: int = 0
) -> Float[np.ndarray, "n f"]:
    """Returns the angle by which each pair of features of each token rotates, in radians.

    The first half of the pairs rotates with the column, the second with the row, by
    ``100 ** -(t / (e / 4))`` per patch, t = 0, 1, ... (RoPE-ViT, axial frequencies).
    Prefix tokens are not rotated.

    Args:
        grid: patches (down, across).
        head_dim: e; a multiple of 4.
        num_prefix: tokens before the patches.

    Raises:
        ValueError: if the head's width does not fit.
    """
    if head_dim % 4:
        raise ValueError(
            f"hidden_size / num_heads must be a multiple of 4, got {head_dim}; "
            "change num_heads, or posemb from rope2d"
        )
    quarter = head_dim // 4
    omega = 100.0 ** -(np.arange(quarter) / quarter)
    y, x = np.mgrid[: grid[0], : grid[1]].reshape(2, -1, 1) * omega
    angles = np.concatenate([x, y], axis=-1).astype(np.float32)
    return np.pad(angles, ((num_prefix, 0), (0, 0)))


def rotate(
    x: Float[Array, "b n k e"], angles: Float[Array, "n e//2"]
) -> Float[Array, "b n k e"]:
    """Rotates each pair of neighbouring features by its token's angle.

    Computed in float32, as an angle of many radians loses too much in bfloat16.
    """
    pairs = rearrange(x.astype(jnp.float32), "b n k (f two) -> two b n k f", two=2)
    cos = rearrange(jnp.cos(angles), "n f -> 1 n 1 f")
    sin = rearrange(jnp.sin(angles), "n f -> 1 n 1 f")
    rotated = [pairs[0] * cos - pairs[1] * sin, pairs[0] * sin + pairs[1] * cos]
    return rearrange(jnp.stack(rotated), "two b n k f -> b n k (f two)").astype(x.dtype)


def relative_bias(
    queries: Float[Array, "b n k e"], table: Float[Array, "r e"]
) -> Float[Array, "b k n n"]:
    """Returns the logits of the relative attention of appendix D.4.

    ``out[b, k, i, j] = queries[b, i, k] . table[i - j + n - 1] / sqrt(e)``: the offset
    of the two positions in the sequence takes the place of the key. The result is
    added to the logits of the attention by content.

    Args:
        queries: not yet scaled.
        table: one embedding for each offset from 1 - n to n - 1; r is 2 n - 1.
    """
    num_tokens, head_dim = queries.shape[1], queries.shape[-1]
    position = jnp.arange(num_tokens)  # NumPy would put n^2 numbers into the program
    offset = position[:, None] - position[None, :] + num_tokens - 1
    keys = jnp.take(table, offset, axis=0)
    queries = queries / jnp.sqrt(head_dim).astype(queries.dtype)
    return jnp.einsum("bike,ije->bkij", queries, keys)


class PositionKind(NamedTuple):
    """A row of `POSEMBS`: where a kind acts, and what it requires of the model.

    A function that is given a module creates its parameters there.

    Attributes:
        make_table: ``(module, grid, width, num_prefix) -> [1 n d]``, added to the last n
            tokens; ``num_prefix`` rows are of the tokens before the patches.
        make_angles: ``(grid, head_dim, num_prefix) -> [n f]``, for `rotate`.
        make_bias: ``(module, queries) -> [b k n n]``, added to the attention's logits.
        layout: how its parameters depend on the grid; see `positions`.
        arrays: names of those that are resampled for another grid.
        unit: ``num_heads -> `` the number that must divide the width.
        lowest_width: the smallest width.
    """

    make_table: Callable[..., Any] | None = None
    make_angles: Callable[..., Any] | None = None
    make_bias: Callable[..., Any] | None = None
    layout: str = FREE
    arrays: tuple[str, ...] = ()
    unit: Callable[[int], int] = lambda num_heads: num_heads
    lowest_width: int = 1

    def describe(self, num_prefix: int) -> Positions:
        """Returns where the positions enter; ``num_prefix`` tokens may have rows."""
        return Positions(
            self.layout, self.arrays, num_prefix if self.layout == TABLE else 0
        )


def _learn(
    module: nn.Module, grid: Grid, width: int, num_prefix: int
) -> Float[Array, "1 n d"]:
    num_rows = grid[0] * grid[1] + num_prefix
    return module.param("pos_embedding", _init, (1, num_rows, width))


def _learn_lines(
    module: nn.Module, grid: Grid, width: int, num_prefix: int
) -> Float[Array, "1 n d"]:
    rows = module.param("pos_embedding_rows", _init, (1, grid[0], width // 2))
    columns = module.param("pos_embedding_columns", _init, (1, grid[1], width // 2))
    return join_rows_and_columns(rows, columns)


def _compute_sincos(
    module: nn.Module, grid: Grid, width: int, num_prefix: int
) -> Float[Array, "1 n d"]:
    return jnp.asarray(sincos2d(grid, width))[None]


def _learn_offsets(
    module: nn.Module, queries: Float[Array, "b n k e"]
) -> Float[Array, "b k n n"]:
    """One table per layer, shared by the heads (arXiv:1803.02155, section 3.4)."""
    shape = (2 * queries.shape[1] - 1, queries.shape[-1])
    table = module.param("relative_embedding", _init, shape)
    return relative_bias(queries, table.astype(queries.dtype))


POSEMBS: dict[str, PositionKind] = {
    "learned": PositionKind(make_table=_learn, layout=TABLE, arrays=(POSITION,)),
    "learned2d": PositionKind(
        make_table=_learn_lines,
        layout=LINES,
        arrays=(f"{POSITION}_rows", f"{POSITION}_columns"),
        unit=lambda num_heads: math.lcm(num_heads, 2),
    ),
    "sincos2d": PositionKind(
        make_table=_compute_sincos,
        unit=lambda num_heads: math.lcm(num_heads, 4),
        lowest_width=8,
    ),
    "relative": PositionKind(make_bias=_learn_offsets, layout=FIXED),
    "rope2d": PositionKind(
        make_angles=rope2d_angles, unit=lambda num_heads: 4 * num_heads
    ),
    "none": PositionKind(),
}
# The ones summed into the tokens.
ADDED = tuple(name for name, kind in POSEMBS.items() if kind.make_table is not None)

AXES: Axes = (
    ("pos_embedding", (None, "tokens", "embed")),
    ("pos_embedding_rows", (None, "tokens", None)),
    ("pos_embedding_columns", (None, "tokens", None)),
    ("relative_embedding", (None, "head_dim")),
)
