"""From the names and shapes of a file's arrays to the model that has them."""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.models.dimensions import Grid
from vit_jax.models.variants import VARIANTS

Shape = tuple[int, ...]

# The fields that identify a variant within its family.
_IDENTITY = (
    "patch_size",
    "hidden_size",
    "num_layers",
    "mlp_dim",
    "tokens_mlp_dim",
    "num_heads",
    "resnet_layers",
    "resnet_width_factor",
)


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What the arrays alone determine.

    Attributes:
        model: neither resolved nor checked.
        num_classes: None: there is no head.
        num_patches: of the position embedding; None where no array depends on them.
        notes: each assumption, in one line.
    """

    model: ModelConfig
    num_classes: int | None
    num_patches: int | None
    notes: tuple[str, ...] = ()


class Shapes:
    """Shapes by canonical name, with the axes in flax's order.

    Args:
        shapes: as the file has them.
        what: the file, for messages.
        torch: whether kernels are stored as PyTorch does, outputs first.
    """

    def __init__(self, shapes: Mapping[str, Shape], what: str, *, torch: bool) -> None:
        self.what, self._shapes, self.torch = what, shapes, torch

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def get(self, name: str, rank: int) -> Shape:
        """Returns the shape of an array that every model of the family has.

        Raises:
            ConfigError: it is missing, or has another rank.
        """
        shape = self._shapes.get(name)
        if shape is None or len(shape) != rank or 0 in shape:
            got = "none" if shape is None else f"the shape {shape}"
            raise ConfigError(
                f"{self.what} must have an array {name} with {rank} axes, got {got}; is "
                "the file complete, and of a model that is supported?"
            )
        if not self.torch or not name.endswith("kernel"):
            return shape
        # (out, in) and (out, in, height, width)
        return shape[::-1] if rank == 2 else (*shape[2:], shape[1], shape[0])

    def count_classes(self) -> int | None:
        """Returns the number of classes of the head; None where there is none."""
        return self.get("head/kernel", 2)[1] if "head/kernel" in self else None


def count_layers(names: Iterable[str], pattern: str, what: str) -> int:
    """Returns how many layers the names have; ``pattern`` captures a layer's number.

    Raises:
        ConfigError: a number is missing, which renumbering would hide.
    """
    compiled = re.compile(pattern)
    found = {match[1] for name in names if (match := compiled.match(name))}
    missing = {str(i) for i in range(len(found))} - found
    if missing:
        raise ConfigError(
            f"{what} must have layers 0 to {len(found) - 1}, got none with number "
            f"{min(missing, key=int)}; the file is incomplete"
        )
    return len(found)


def find_square_grid(num_patches: int | None) -> Grid | None:
    """Returns the square grid of so many patches, or None."""
    if num_patches is None or num_patches < 1:
        return None
    side = math.isqrt(num_patches)
    return (side, side) if side * side == num_patches else None


def name_variant(model: ModelConfig) -> ModelConfig:
    """Returns the config with the name of the variant of the same dimensions, if any."""
    for name, row in VARIANTS.items():
        same = all(getattr(row, f) == getattr(model, f) for f in _IDENTITY)
        if same and (row.family or "vit") == (model.family or "vit"):
            return dataclasses.replace(model, variant=name)
    return model
