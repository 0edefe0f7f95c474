"""Evaluations beyond top-1: numbers from a checkpoint and a data set, by name.

An evaluator is a function ``evaluate(subject)`` in a file of its own, and a row of
`vit_jax.config.choices.EVALUATORS`. It returns a dictionary of JSON values.
"""

import json
from pathlib import Path
from typing import Any

from vit_jax.config.choices import EVALUATORS
from vit_jax.evaluators.subject import Subject, collect, open_subject

__all__ = [
    "EVALUATORS",
    "Subject",
    "collect",
    "describe_numbers",
    "open_subject",
    "run_evaluator",
]


def run_evaluator(
    name: str,
    checkpoint: str | Path,
    split: str | None = None,
    source: str | None = None,
    train_split: str | None = None,
    labels: str | Path | None = None,
) -> dict[str, Any]:
    """Returns an evaluator's numbers as JSON values.

    Args:
      name: one of `EVALUATORS`.
      checkpoint: a workdir, a checkpoint file of any format, or the name of published
        weights.
      split: the split to evaluate; None: the run's ``eval_split``.
      source: data to evaluate on; None: the run's.
      train_split: the split that ``fewshot``, ``knn`` and ``probe`` learn from; None:
        the run's ``train_split``.
      labels: file of labels that ``real`` needs.

    Raises:
      ConfigError: there is no such evaluator, checkpoint, split or file.

    Example:
      >>> run_evaluator("knn", "runs/digits")["top1"]
    """
    EVALUATORS.check("--evaluator", name)
    subject = open_subject(checkpoint, split, source, train_split, labels)
    return EVALUATORS.resolve(name)(subject)


def describe_numbers(values: dict[str, Any]) -> list[str]:
    """Returns an evaluator's numbers as lines of text.

    Fractions are printed as percentages. Long tables and curves are left to JSON.
    """
    lines = []
    for name, value in values.items():
        if isinstance(value, bool | str | int) or value is None:
            lines.append(f"{name}: {value}")
        elif isinstance(value, float):
            is_fraction = 0 <= value <= 1 and name not in _NOT_FRACTIONS
            shown = f"{value:.2%}" if is_fraction else f"{value:.4g}"
            lines.append(f"{name}: {shown}")
        elif isinstance(value, dict) and len(value) <= 20:
            lines.append(f"{name}: {json.dumps(value)}")
    return lines


_NOT_FRACTIONS = ("temperature", "l2", "regularization")
