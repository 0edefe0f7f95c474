"""The mesh section of a config."""

import dataclasses

from vit_jax.config.choices import MESH_PRESETS


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes; None: the preset's; one may be -1: the devices left.

    ``data`` splits the batch; ``fsdp`` the batch, the parameters and the optimizer
    state; ``tensor`` the heads, the MLP and the classes.
    """

    data: int | None = None
    fsdp: int | None = None
    tensor: int | None = None
    preset: str = "dp"

    def __post_init__(self) -> None:
        MESH_PRESETS.check("config.mesh.preset", self.preset)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The sizes of ``data``, ``fsdp`` and ``tensor``."""
        data, fsdp, tensor = (
            size if given is None else given
            for given, size in zip(
                (self.data, self.fsdp, self.tensor),
                MESH_PRESETS.resolve(self.preset),
                strict=True,
            )
        )
        return data, fsdp, tensor
