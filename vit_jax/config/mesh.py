"""The mesh section of a config."""

import dataclasses

from vit_jax.errors import check_choice

# Sizes of the mesh axes data, fsdp, tensor; -1 takes the devices left.
MESH_PRESETS: dict[str, tuple[int, int, int]] = {
    "dp": (-1, 1, 1),
    "fsdp": (1, -1, 1),
    "fsdp_tp": (1, -1, 2),
}


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes; None is the preset's, one may be -1: the devices left.

    ``data`` cuts the batch; ``fsdp`` the batch, the parameters and their moments;
    ``tensor`` heads, MLP and classes.
    """

    data: int | None = None
    fsdp: int | None = None
    tensor: int | None = None
    preset: str = "dp"

    def __post_init__(self) -> None:
        check_choice("config.mesh.preset", self.preset, MESH_PRESETS)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The sizes of ``data``, ``fsdp`` and ``tensor``."""
        data, fsdp, tensor = (
            size if given is None else given
            for given, size in zip(
                (self.data, self.fsdp, self.tensor),
                MESH_PRESETS[self.preset],
                strict=True,
            )
        )
        return data, fsdp, tensor
