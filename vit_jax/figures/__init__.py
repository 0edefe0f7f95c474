"""Pictures of a checkpoint: its attention, its parameters, its mistakes.

Functions in `looking` and `parameters` return arrays; those in `draw_*` return Matplotlib
figures (extra ``plots``).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vit_jax.checkpoints.load import load
from vit_jax.config.choices import FIGURES
from vit_jax.errors import ConfigError
from vit_jax.figures.album import Album, Mistake
from vit_jax.figures.canvas import make_figure
from vit_jax.figures.draw_attention import (
    draw_attention_distance,
    draw_attention_maps,
    draw_rollout,
)
from vit_jax.figures.draw_parameters import draw_filters, draw_position_similarity
from vit_jax.figures.draw_predictions import (
    draw_confusion,
    draw_mistakes,
    draw_reliability,
)
from vit_jax.figures.draw_run import PANELS, draw_curve, draw_curves
from vit_jax.figures.kinds import draw_kind
from vit_jax.figures.looking import (
    AttentionWeights,
    compute_attention,
    compute_attention_distance,
    compute_attention_maps,
    compute_mean_attention_distance,
    compute_rollout,
    compute_rollout_maps,
)
from vit_jax.figures.parameters import (
    compute_filter_components,
    compute_position_similarity,
    get_patch_kernel,
    get_position_table,
)

__all__ = [
    "FIGURES",
    "PANELS",
    "Album",
    "AttentionWeights",
    "FigureFiles",
    "Mistake",
    "compute_attention",
    "compute_attention_distance",
    "compute_attention_maps",
    "compute_filter_components",
    "compute_mean_attention_distance",
    "compute_position_similarity",
    "compute_rollout",
    "compute_rollout_maps",
    "draw_attention_distance",
    "draw_attention_maps",
    "draw_confusion",
    "draw_curve",
    "draw_curves",
    "draw_filters",
    "draw_kind",
    "draw_mistakes",
    "draw_position_similarity",
    "draw_reliability",
    "draw_rollout",
    "get_patch_kernel",
    "get_position_table",
    "write_figures",
]


class FigureFiles(NamedTuple):
    """The files that `write_figures` wrote.

    Attributes:
      paths: the pictures.
      left_out: kind of figure -> why this checkpoint has none.
      errors: path of each unreadable image -> why it could not be read.
    """

    paths: list[Path]
    left_out: dict[str, str]
    errors: dict[str, str]


def write_figures(
    checkpoint: str | Path,
    images: Iterable[str | Path] = (),
    output: str | Path = "figures",
    kinds: Sequence[str] = (),
    source: str | None = None,
    split: str | None = None,
) -> FigureFiles:
    """Writes figures of a checkpoint as PNG files.

    Args:
      checkpoint: a workdir, a checkpoint file of any format, or the name of published
        weights.
      images: image files to show; if empty, some images of the split.
      output: a folder; created if it does not exist.
      kinds: names of `FIGURES`; if empty, all that the checkpoint has.
      source: data to evaluate on; None: the run's.
      split: the split to evaluate; None: the run's ``eval_split``.

    Raises:
      ConfigError: there is no such checkpoint or kind, Matplotlib is not installed, or
        the checkpoint does not have one of the given kinds.

    Example:
      >>> write_figures("runs/digits", output="figures").paths
    """
    for kind in kinds:
        FIGURES.check("--kind", kind)
    make_figure(1, 1, "")  # fails before any work if Matplotlib is missing
    output = Path(output)
    album = Album(load(checkpoint), [str(path) for path in images], source, split)
    written, left_out = [], {}
    for kind in kinds or FIGURES:
        try:
            for stem, figure in draw_kind(album, kind):
                path = output / f"{stem}.png"
                output.mkdir(parents=True, exist_ok=True)
                figure.savefig(path)
                written.append(path)
        except ConfigError as error:
            if kinds:
                raise
            left_out[kind] = str(error)
        except OSError as error:
            raise ConfigError(
                f"output {output} cannot be written to: {error.strerror}; choose another "
                "folder"
            ) from error
    return FigureFiles(written, left_out, album.errors)
