"""Hybrids: a ResNet whose feature map the Vision Transformer splits into patches.

The ResNet is BiT's (Kolesnikov et al. 2020, arXiv:1912.11370): weight-standardised
convolutions and group norm. Dosovitskiy et al. 2021 (arXiv:2010.11929), section 3.1,
put the Transformer on it.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models import vit
from vit_jax.models.dimensions import known
from vit_jax.models.inference import Inferred, Shapes
from vit_jax.models.norm import group_norm, list_norm_axes
from vit_jax.models.patches import PatchKernel
from vit_jax.models.vit_inference import infer_vit

Strides = tuple[int, int]


class HybridViT(vit.ViT):
    """A ViT whose patches are cells of the feature map of a ResNet.

    ``config.resnet_layers`` are the bottleneck units of each stage, () is the root alone;
    ``resnet_width_factor`` times 64 channels come out of the root.
    """

    def stem(self, images: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        """Returns the feature map: a quarter of the side, halved by each later stage.

        SAME padding throughout, with -inf in the pooling; for even sides it puts the
        odd row at the end. Published weights depend on that.
        """
        dtype = self.config.dtype
        width = int(64 * self.config.resnet_width_factor)
        x = StdConv(width, (7, 7), (2, 2), dtype, name="conv_root")(images)
        x = nn.relu(group_norm(x, name="gn_root", dtype=dtype))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for i, num_units in enumerate(known(self.config.resnet_layers)):
            strides = (1, 1) if i == 0 else (2, 2)
            x = Stage(num_units, width * 2**i, strides, dtype, name=f"block{i + 1}")(x)
        return x


class Stage(nn.Module):
    """Bottleneck units, the first of which may halve the side."""

    num_units: int
    features: int
    strides: Strides
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        for i in range(self.num_units):
            strides = self.strides if i == 0 else (1, 1)
            x = Bottleneck(self.features, strides, self.dtype, name=f"unit{i + 1}")(x)
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut; 4 ``features`` come out.

    The stride sits on the 3x3 convolution. The last norm's scale starts at 0, so that
    a unit starts as its shortcut.
    """

    features: int
    strides: Strides
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        conv = functools.partial(StdConv, dtype=self.dtype)
        norm = functools.partial(group_norm, dtype=self.dtype)
        wide = 4 * self.features
        shortcut = x
        if x.shape[-1] != wide or self.strides != (1, 1):
            shortcut = conv(wide, (1, 1), self.strides, name="conv_proj")(x)
            shortcut = norm(shortcut, name="gn_proj")
        y = conv(self.features, (1, 1), name="conv1")(x)
        y = nn.relu(norm(y, name="gn1"))
        y = conv(self.features, (3, 3), self.strides, name="conv2")(y)
        y = nn.relu(norm(y, name="gn2"))
        y = conv(wide, (1, 1), name="conv3")(y)
        y = norm(y, name="gn3", scale_init=nn.initializers.zeros)
        return nn.relu(shortcut + y)


class StdConv(nn.Module):
    """A convolution without bias whose kernel is standardised: arXiv:1903.10520."""

    features: int
    kernel_size: tuple[int, int]
    strides: Strides = (1, 1)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b y x f"]:
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            standardize(kernel).astype(self.dtype),
            self.strides,
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


def standardize(kernel: Float[Array, "y x i o"]) -> Float[Array, "y x i o"]:
    """Returns the kernel with mean 0 and standard deviation 1 per output channel.

    1e-5 is added to the standard deviation, not to the variance (timm: 1e-8 to the
    variance): the two differ for a channel with a tiny deviation.
    """
    kernel = kernel - kernel.mean(axis=(0, 1, 2), keepdims=True)
    return kernel / (kernel.std(axis=(0, 1, 2), keepdims=True) + 1e-5)


def find_stride(config: ModelConfig) -> int:
    """Returns how many pixels, down and across, a cell of the feature map covers."""
    # The root's convolution and pooling halve, then each stage but the first.
    return 4 * 2 ** max(len(known(config.resnet_layers)) - 1, 0)


def infer_hybrid(shapes: Shapes, given: Mapping[str, Any]) -> Inferred:
    """Returns the hybrid that has these arrays; see `vit_inference.infer_vit`."""
    units: dict[int, set[int]] = {}
    for name in shapes:
        if match := _UNIT.match(name):
            units.setdefault(int(match[1]), set()).add(int(match[2]))
    # A gap in the numbers shows when the names are compared.
    layers = tuple(len(units[stage]) for stage in sorted(units))
    width = shapes.get("conv_root/kernel", 4)[3]
    found = {
        "family": "hybrid",
        "resnet_layers": layers,
        "resnet_width_factor": width / 64,
    }
    return infer_vit(shapes, found | {k: v for k, v in given.items() if v is not None})


_UNIT = re.compile(r"block(\d{1,6})/unit(\d{1,5})(?:/|$)", re.ASCII)

# Of a convolution only the output channels have a name.
AXES: Axes = (
    *(
        (f"{name}/kernel", (None, None, None, "channels"))
        for name in ("conv_root", "conv_proj", "conv1", "conv2", "conv3")
    ),
    *list_norm_axes("gn_root", "gn_proj", "gn1", "gn2", "gn3", axis="channels"),
    *vit.AXES,
)

FAMILY = dataclasses.replace(
    vit.FAMILY,
    module=HybridViT,
    required=(*vit.REQUIRED, "resnet_layers"),
    fields=vit.FAMILY.fields | {"resnet_layers", "resnet_width_factor"},
    axes=AXES,
    marker="conv_root/kernel",
    infer=infer_hybrid,
    patches=PatchKernel(
        "conv_root/kernel", what="ResNet's root filters", is_plain=False
    ),
    find_stride=find_stride,
)
