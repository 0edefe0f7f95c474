"""What each family of models declares; code outside never asks which family it is."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn

from vit_jax.config import ModelConfig
from vit_jax.mesh.sharding import Axes
from vit_jax.models.dimensions import Size, known
from vit_jax.models.inference import Inferred, Shapes
from vit_jax.models.patches import PatchKernel
from vit_jax.models.positions import Positions

CONFIG_FIELDS = {field.name: field for field in dataclasses.fields(ModelConfig)}


@dataclasses.dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        module: constructed with a resolved config and a number of classes.
        required: the dimensions that a config or its variant must give.
        fields: those of `ModelConfig` that the module reads; others must be at default.
        axes: parameter path -> logical axes; see `mesh.sharding.find_logical_axes`.
        marker: a parameter of every model of the family, and of no family that comes
            before it in `families.FAMILIES`.
        infer: ``(shapes, given fields) -> Inferred``; see `infer_model`.
        describe_positions: ``config -> Positions``.
        patches: the array that sees pixels.
        count_prefix: ``config -> `` number of tokens before the patches.
        find_stride: ``config -> `` pixels, down and across, of a cell of what is split into patches.
        has_attention: whether its layers have attention weights.
        shards_tokens: whether the residual stream is sharded over its tokens.
    """

    module: type[nn.Module]
    required: tuple[str, ...]
    fields: frozenset[str]
    axes: Axes
    marker: str
    infer: Callable[[Shapes, Mapping[str, Any]], Inferred]
    describe_positions: Callable[[ModelConfig], Positions]
    patches: PatchKernel
    count_prefix: Callable[[ModelConfig], int]
    find_stride: Callable[[ModelConfig], int] = lambda config: 1
    has_attention: bool = True
    shards_tokens: bool = True

    def find_token_size(self, config: ModelConfig) -> Size:
        """Returns how many pixels (down, across) one token of a resolved config covers."""
        down, across = known(config.patch_size)
        stride = self.find_stride(config)
        return down * stride, across * stride
