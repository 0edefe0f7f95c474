"""AugReg's 50,000 checkpoints: their file names, and the best one from their index.

Steiner et al. 2022, "How to train your ViT?" (arXiv:2106.10270). Every file is in
``gs://vit_models/augreg``; ``index.csv`` there has a row for each pair of a checkpoint
pre-trained and one fine-tuned from it.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vit_jax.errors import ConfigError, did_you_mean
from vit_jax.weights.published.augreg import AUGREG_VARIANTS

UPSTREAMS = ("i21k", "i21k_30", "i1k")
_NUMBER = r"(\d+(?:\.\d+)?)"
_UPSTREAM = re.compile(
    rf"(?P<model>[A-Za-z0-9_]+)-(?P<ds>i21k|i1k)-(?P<epochs>\d+)ep-lr_{_NUMBER}"
    rf"-aug_(?P<aug>\w+)-wd_{_NUMBER}-do_{_NUMBER}-sd_{_NUMBER}"
)
_ADAPTED = re.compile(
    rf"(?P<ds>[\w.+-]+?)-steps_(?P<steps>\w+)-lr_{_NUMBER}-res_(?P<res>\d+)"
)
_QUERY = re.compile(
    rf"(?P<model>\w+?)(?:-(?P<ds>{'|'.join(UPSTREAMS)}))?"
    r"(?:--(?P<adapted>\w+?)(?:-(?P<res>\d+))?)?"
)
_COLUMNS = (
    "filename", "final_val", "ds", "adapt_filename", "adapt_ds", "adapt_resolution",
    "adapt_final_val", "adapt_final_test",
)  # fmt: skip


class FileName(NamedTuple):
    """What a file name says."""

    model: str  # "B_16", "R26_S_32"
    upstream: str  # "i21k" or "i1k"
    adapted_to: str | None  # a TFDS name; None: not fine-tuned
    resolution: int  # pixels


class Query(NamedTuple):
    """What `find_best` takes."""

    model: str
    upstream: str = "i21k"
    adapted_to: str | None = None
    resolution: int | None = None


class Row(NamedTuple):
    """What a choice needs of a line of the index. Accuracies are in [0, 1]."""

    filename: str
    upstream: str  # one of UPSTREAMS
    final_val: float  # upstream, on the validation set
    adapted_filename: str
    adapted_to: str
    resolution: int
    adapted_final_val: float
    adapted_final_test: float

    @property
    def model(self) -> str:
        return self.filename.partition("-")[0]


def parse(name: str) -> FileName | None:
    """Returns what a file name says, or None if it is none of AugReg's.

    Args:
        name: with or without folders and ``.npz``.
    """
    stem = name.rpartition("/")[2].removesuffix(".npz")
    upstream, _, adapted = stem.partition("--")
    match = _UPSTREAM.fullmatch(upstream)
    if match is None or match["model"] not in AUGREG_VARIANTS:
        return None
    if not adapted:
        return FileName(match["model"], match["ds"], None, 224)
    tuned = _ADAPTED.fullmatch(adapted)
    if tuned is None:
        return None
    return FileName(match["model"], match["ds"], tuned["ds"], int(tuned["res"]))


def parse_query(text: str) -> Query | None:
    """Returns the parts of ``[augreg/]MODEL[-DATA][--DATA[-SIZE]]``, or None.

    ``B_8``, ``B_16-i1k``, ``R26_S_32-i21k_30--cifar100-224``.
    """
    match = _QUERY.fullmatch(text.removeprefix("augreg/"))
    if match is None or match["model"] not in AUGREG_VARIANTS:
        return None
    size = int(match["res"]) if match["res"] else None
    return Query(match["model"], match["ds"] or "i21k", match["adapted"], size)


def read_index(path: Path) -> list[Row]:
    """Reads ``index.csv``.

    Raises:
        ConfigError: if it is not that file: a column is missing, a number is none.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ConfigError(
                f"{path} must be AugReg's index, but has no column "
                f"{', '.join(missing)}; remove it, so that it is fetched again"
            )
        try:
            return [_parse_row(line) for line in reader]
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{path}, line {reader.line_num}, must have a number in each column of "
                f"accuracies, got {error}; remove it, so that it is fetched again"
            ) from error


def find_best(
    rows: Iterable[Row],
    model: str,
    upstream: str = "i21k",
    adapted_to: str | None = None,
    resolution: int | None = None,
) -> Row:
    """Returns the row of the best checkpoint of a model, as the original chooses it.

    The one with the highest validation accuracy upstream, the last of equals. With
    ``adapted_to``, of those fine-tuned from it the one with the highest validation
    accuracy there. Never by test accuracy.

    Args:
        rows: of the index.
        model: "B_16", "R26_S_32", ...
        upstream: one of UPSTREAMS; ``i21k_30`` is 30 epochs of i21k.
        adapted_to: "imagenet2012", "cifar100", ...
        resolution: of the fine-tuning; None: any.

    Raises:
        ConfigError: where nothing fits, with what there is.
    """
    rows = _select(rows, "model", model)
    rows = _select(rows, "upstream", upstream)
    chosen = max(rows, key=lambda row: row.final_val).final_val
    filename = [row.filename for row in rows if row.final_val == chosen][-1]
    rows = [row for row in rows if row.filename == filename]
    if adapted_to is None:
        return rows[-1]
    rows = _select(rows, "adapted_to", adapted_to)
    if resolution is not None:
        rows = _select(rows, "resolution", resolution)
    best_val = max(row.adapted_final_val for row in rows)
    return [row for row in rows if row.adapted_final_val == best_val][-1]


def _select(rows: Iterable[Row], field: str, value: str | int) -> Sequence[Row]:
    rows = list(rows)
    kept = [row for row in rows if getattr(row, field) == value]
    if not kept:
        known = sorted({str(getattr(row, field)) for row in rows})
        raise ConfigError(
            f"AugReg's index has no checkpoint with {field} {value}"
            f"{did_you_mean(str(value), known)}"
        )
    return kept


def _parse_row(line: dict[str, str]) -> Row:
    return Row(
        filename=line["filename"],
        upstream=line["ds"],
        final_val=float(line["final_val"]),
        adapted_filename=line["adapt_filename"],
        adapted_to=line["adapt_ds"],
        resolution=int(float(line["adapt_resolution"] or 0)),
        adapted_final_val=float(line["adapt_final_val"] or "nan"),
        adapted_final_test=float(line["adapt_final_test"] or "nan"),
    )
