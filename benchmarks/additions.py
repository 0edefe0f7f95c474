"""The files that an addition touches, beside its test: what `docs/design.md` lists.

Versions without that table stand in BEFORE, counted by hand: every file that had to
change so that the addition trained, saved, loaded, converted where it could and was
refused by name where it could not.
"""

import re
from pathlib import Path

# A name in capitals stands for the file that is added.
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")

_MODEL = ["config.py", "models/encoder.py", "models/vit.py"]
_CONVERT = ["convert/layout.py", "convert/limits.py"]
BEFORE = {
    "block option": [*_MODEL, "models/attention.py", *_CONVERT, "convert/infer.py"],
    "position embedding": [
        *_MODEL, "models/posemb.py", "models/checks.py", *_CONVERT,
        "convert/positions.py", "progressive.py", "figures/parameters.py",
    ],
    "head": [
        "config.py", "models/heads.py", "models/vit.py", *_CONVERT, "convert/infer.py",
        "flops.py",
    ],
    "loss": ["config.py", "losses.py", "predict.py"],
    "optimizer": ["config.py", "optim.py"],
    "schedule": ["config.py", "optim.py"],
    "source": ["data/NAME.py", "data/sources.py"],
    "augmentation": ["config.py", "data/augment.py", "data/NAME.py"],
    "evaluator": ["evaluators/__init__.py", "evaluators/NAME.py"],
    "figure": ["figures/kinds.py", "figures/NAME.py"],
    "format": [
        "convert/NAME.py", "convert/files.py", "convert/limits.py", "convert/facts.py",
    ],
    "objective": [
        "config.py", "step.py", "state.py", "program.py", "train.py", "evaluate.py",
        "metrics.py", "checkpoint.py",
    ],
    "gradient scheme": ["config.py", "step.py"],
    "change of parameters": ["config.py", "step.py", "program.py", "evaluate.py"],
}  # fmt: skip


def list_touched_files(root: Path) -> dict[str, list[str]]:
    """Returns addition -> the files that it touches, as paths below `vit_jax/`."""
    return read_table(root) or BEFORE


def read_table(root: Path) -> dict[str, list[str]]:
    """Returns the table "Where do I add" of `docs/design.md`; empty if there is none."""
    text = (root / "docs" / "design.md").read_text()
    _, found, rest = text.partition("## Where do I add")
    rows = {}
    for line in rest.partition("\n## ")[0].splitlines() if found else ():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and "`" in cells[1]:
            rows[cells[0]] = re.findall(r"`([\w./]+\.py)`", cells[1])
    return rows


def find_missing(root: Path) -> list[str]:
    """Returns the listed files that the checkout does not have."""
    return [
        f"{row}: {path}"
        for row, paths in list_touched_files(root).items()
        for path in paths
        if not PLACEHOLDER.search(path) and not (root / "vit_jax" / path).exists()
    ]
