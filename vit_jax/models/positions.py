"""Which parameters depend on the grid of patches, and how they fit another one."""

import dataclasses

POSITION = "Transformer/posembed_input/pos_embedding"

# FREE: no parameter depends on the grid.
# TABLE: one array [1 n d] has a row for each patch, after `Positions.num_prefix` rows.
# LINES: one array [1 y f] for the rows of the grid, one [1 x f] for its columns.
# FIXED: parameters belong to one number of patches, and cannot be resampled.
FREE, TABLE, LINES, FIXED = "free", "table", "lines", "fixed"


@dataclasses.dataclass(frozen=True)
class Positions:
    """Where the positions of the patches enter the parameters.

    Attributes:
        layout: ``FREE``, ``TABLE``, ``LINES`` or ``FIXED``.
        arrays: names of the arrays that are resampled for another grid: one of a table,
            rows and columns of lines, none otherwise.
        num_prefix: rows of a table before those of the patches.
    """

    layout: str
    arrays: tuple[str, ...] = ()
    num_prefix: int = 0

    @property
    def any_size(self) -> bool:
        """Whether a run may change its image size from step to step."""
        return self.layout in (FREE, TABLE)
