"""Images to a grid of patch tokens."""

import dataclasses

from flax import linen as nn
from jax.typing import DTypeLike

from vit_jax.mesh.sharding import Axes


@dataclasses.dataclass(frozen=True)
class PatchKernel:
    """The parameter that is applied to pixels.

    Attributes:
        name: of the kernel [y x c d]; its bias is beside it.
        what: its filters, for the title of a figure.
        is_plain: whether it is one product per patch, without padding, so that patches
            can be resized and the range of the pixels folded into it.
    """

    name: str
    what: str = "patch filters"
    is_plain: bool = True

    @property
    def bias(self) -> str:
        """The name of the bias."""
        return self.name.replace("kernel", "bias")


def patch_embedding(
    hidden_size: int,
    patch_size: tuple[int, int],
    *,
    use_bias: bool,
    dtype: DTypeLike,
    name: str,
) -> nn.Conv:
    """Makes the linear projection of non-overlapping patches: [b h w c] -> [b y x d].

    A convolution whose stride is its kernel size (Dosovitskiy et al. 2021,
    arXiv:2010.11929, equation 1). VALID padding, as in the original: rows and columns
    left over at the bottom and right are dropped.

    Args:
        hidden_size: d, the width of a token.
        patch_size: (height, width) of a patch, in pixels or in cells of a feature map.
        use_bias: whether there is a bias; CLIP's towers have none.
        dtype: of the computation; parameters are float32.
        name: of the submodule; published checkpoints say ``embedding``.
    """
    return nn.Conv(
        hidden_size,
        kernel_size=patch_size,
        strides=patch_size,
        padding="VALID",
        use_bias=use_bias,
        dtype=dtype,
        name=name,
    )


def nearest_multiples(size: int, unit: int) -> tuple[int, int]:
    """Returns the multiples of ``unit`` next below and above ``size``; none is 0."""
    below = max(size // unit, 1) * unit
    return below, below + unit


AXES: Axes = (
    ("embedding/kernel", ("patch_h", "patch_w", "channels", "embed")),
    ("embedding/bias", ("embed",)),
)
