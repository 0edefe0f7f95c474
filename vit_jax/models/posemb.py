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
stands in front of the patches and takes part in the offsets; in all others nothing. It
is a learned vector itself, so that a learned row would add no freedom.
"""

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

POSEMBS = ("learned", "learned2d", "sincos2d", "relative", "rope2d", "none")
ADDED = ("learned", "learned2d", "sincos2d")  # the ones summed into the tokens
Grid = tuple[int, int]  # patches (down, across)

_init = nn.initializers.normal(stddev=0.02)


class PositionEmbedding(nn.Module):
    """Adds one of the kinds in ADDED to the tokens.

    Attributes:
        kind: ``learned``, ``learned2d`` or ``sincos2d``.
        with_prefix: whether ``learned`` has rows for the tokens before the patches.
        dtype: of the result.
    """

    kind: str
    with_prefix: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b n d"], grid: Grid
    ) -> Float[Array, "b n d"]:
        num_prefix = tokens.shape[1] - grid[0] * grid[1]
        table = self._table(grid, tokens.shape[-1], num_prefix)
        missing = tokens.shape[1] - table.shape[1]
        table = jnp.pad(table, ((0, 0), (missing, 0), (0, 0)))
        return tokens + table.astype(self.dtype)

    def _table(self, grid: Grid, width: int, num_prefix: int) -> Float[Array, "1 n d"]:
        if self.kind == "sincos2d":
            return jnp.asarray(sincos2d(grid, width))[None]
        if self.kind == "learned2d":
            rows = self.param("pos_embedding_rows", _init, (1, grid[0], width // 2))
            columns = self.param(
                "pos_embedding_columns", _init, (1, grid[1], width // 2)
            )
            return join_rows_and_columns(rows, columns)
        num_rows = grid[0] * grid[1] + (num_prefix if self.with_prefix else 0)
        return self.param("pos_embedding", _init, (1, num_rows, width))


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
    """Returns by which angle each pair of features of each token is turned, in radians.

    The first half of the pairs turns with the column, the second with the row, by
    ``100 ** -(t / (e / 4))`` per patch, t = 0, 1, ... (RoPE-ViT, axial frequencies).
    Prefix tokens are not turned.

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
    """Turns each pair of neighbouring features by its token's angle.

    Computed in float32, as an angle of many radians loses too much in bfloat16.
    """
    pairs = rearrange(x.astype(jnp.float32), "b n k (f two) -> two b n k f", two=2)
    cos = rearrange(jnp.cos(angles), "n f -> 1 n 1 f")
    sin = rearrange(jnp.sin(angles), "n f -> 1 n 1 f")
    turned = [pairs[0] * cos - pairs[1] * sin, pairs[0] * sin + pairs[1] * cos]
    return rearrange(jnp.stack(turned), "two b n k f -> b n k (f two)").astype(x.dtype)


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
    position = np.arange(num_tokens)
    offset = position[:, None] - position[None, :] + num_tokens - 1
    keys = jnp.take(table, offset, axis=0)
    queries = queries / jnp.sqrt(head_dim).astype(queries.dtype)
    return jnp.einsum("bike,ije->bkij", queries, keys)
