"""Grids of vectors at another size: the arithmetic of position and patch embeddings.

Each method is a matrix for each side, so that a resize is two products,
except for `original`, which is what the original's library happens to do.
"""

from collections.abc import Callable

import numpy as np

from vit_jax.config.choices import RESAMPLINGS

Grid = tuple[int, int]


def resample(grid: np.ndarray, size: Grid, method: str = "bilinear") -> np.ndarray:
    """Returns a grid of vectors [y x d] at another size; float32.

    Args:
        grid: [height, width, d].
        size: (height, width).
        method: a row of `RESAMPLINGS`.

    Raises:
        ConfigError: for an unknown method.
    """
    resize = RESAMPLINGS.resolve(method)
    if grid.shape[:2] == size:
        return np.asarray(grid, np.float32)
    return resize(grid, size)


def resample_between_corners(grid: np.ndarray, size: Grid) -> np.ndarray:
    """Keeps the corners where they are, as the original intends."""
    return _apply_matrices(grid, size, make_corner_matrix)


def resample_as_original(grid: np.ndarray, size: Grid) -> np.ndarray:
    """Does what the original does, by `scipy.ndimage.zoom`.

    For some pairs of sizes (28 -> 14, 24 -> 22, ...) that rounds the last sample to just
    outside, and writes 0 into the whole last row and column.
    """
    from scipy import ndimage

    zoom = (size[0] / grid.shape[0], size[1] / grid.shape[1], 1)
    return np.asarray(ndimage.zoom(np.asarray(grid, np.float32), zoom, order=1))


def resample_bicubic(grid: np.ndarray, size: Grid) -> np.ndarray:
    """Antialiased, half-pixel centres: timm's default and PyTorch's."""
    return _apply_matrices(grid, size, make_bicubic_matrix)


def resample_between_centres(grid: np.ndarray, size: Grid) -> np.ndarray:
    """Bilinear, not antialiased: what timm does when it reads the original's files."""
    return _apply_matrices(grid, size, make_half_pixel_matrix)


def _apply_matrices(
    grid: np.ndarray, size: Grid, make: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    down, across = (make(o, n) for o, n in zip(grid.shape[:2], size, strict=True))
    return np.einsum(
        "Yy,Xx,yxd->YXd", down, across, grid.astype(np.float64), optimize=True
    ).astype(np.float32)


def make_corner_matrix(old: int, new: int) -> np.ndarray:
    """Returns the matrix [new, old] of linear interpolation that keeps both ends."""
    at = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    return _linear(at, old)


def make_half_pixel_matrix(old: int, new: int) -> np.ndarray:
    """Returns the matrix [new, old] of linear interpolation between pixel centres."""
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    return _linear(np.clip(at, 0, old - 1), old)


def make_bicubic_matrix(old: int, new: int) -> np.ndarray:
    """Returns the matrix [new, old] of Keys' cubic kernel (a = -0.5), antialiased.

    When shrinking the kernel is as much wider, as in Pillow and in PyTorch with
    ``antialias=True``; weights are normalised over what is inside.
    """
    scale = old / new
    width = max(scale, 1.0)
    centers = (np.arange(new) + 0.5) * scale
    first = np.maximum((centers - 2 * width + 0.5).astype(int), 0)
    last = np.minimum((centers + 2 * width + 0.5).astype(int), old)
    at = np.arange(old)
    inside = (at >= first[:, None]) & (at < last[:, None])
    weights = _cubic((at + 0.5 - centers[:, None]) / width) * inside
    return weights / weights.sum(axis=1, keepdims=True)


def resize_patches(kernel: np.ndarray, size: Grid) -> np.ndarray:
    """Returns a patch embedding [h w c d] for patches of another size; float32.

    The pseudo-inverse of the resize of a patch: an image that is enlarged together with
    its patches gives the same tokens. FlexiViT (arXiv:2212.08013), section 3.4,
    equation 4; the resize is bilinear between pixel centres, as there.
    """
    old = kernel.shape[:2]
    if old == size:
        return np.asarray(kernel, np.float32)
    # The resize B is one matrix for each side, and the pseudo-inverse of their
    # Kronecker product is the product of their pseudo-inverses.
    down, across = (
        np.linalg.pinv(make_half_pixel_matrix(o, n).T)
        for o, n in zip(old, size, strict=True)
    )
    return np.einsum(
        "Yy,Xx,yxcd->YXcd", down, across, kernel.astype(np.float64), optimize=True
    ).astype(np.float32)


def _linear(at: np.ndarray, old: int) -> np.ndarray:
    below = np.clip(np.floor(at).astype(int), 0, max(old - 2, 0))
    share = at - below
    matrix = np.zeros((len(at), old))
    rows = np.arange(len(at))
    matrix[rows, below] = 1 - share
    matrix[rows, np.minimum(below + 1, old - 1)] += share
    return matrix


def _cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
