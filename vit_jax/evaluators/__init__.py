"""Evaluators beyond top-1: by name, from a checkpoint and a data set to numbers.

| name | what it measures | reference |
|---|---|---|
| `classes` | accuracy of each class, the confusion matrix, Wilson's interval | Wilson 1927 |
| `calibration` | expected calibration error, the reliability diagram | arXiv:1706.04599 |
| `real` | top-1 on ImageNet's reassessed labels | arXiv:2006.07159 |
| `fewshot` | linear few-shot accuracy of the features | arXiv:2010.11929 |
| `knn` | weighted nearest neighbours of the features | arXiv:2104.14294 |
| `probe` | logistic regression on the features | arXiv:2103.00020 |
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
    """Returns an evaluator's numbers, as JSON holds them; see its module.

    Args:
      name: one of `EVALUATORS`.
      checkpoint: a workdir, a checkpoint file of any format, or the name of weights.
      split: that is evaluated; None: the run's ``eval_split``.
      source: other data than the run's.
      train_split: what ``fewshot``, ``knn`` and ``probe`` learn from; None: the run's.
      labels: the file of ``real``.

    Raises:
      ConfigError: no such evaluator, checkpoint, split or file.

    Example:
      >>> run("knn", "runs/digits")["top1"]
    """
    EVALUATORS.check("--evaluator", name)
    subject = open_subject(checkpoint, split, source, train_split, labels)
    return EVALUATORS.resolve(name)(subject)


def describe_numbers(values: dict[str, Any]) -> list[str]:
    """Returns an evaluator's numbers as a person reads them, a line each.

    Shares are printed as percentages; what is a table or a curve only in JSON.
    """
    lines = []
    for name, value in values.items():
        if isinstance(value, bool | str | int) or value is None:
            lines.append(f"{name}: {value}")
        elif isinstance(value, float):
            is_share = 0 <= value <= 1 and name not in _NO_SHARES
            lines.append(f"{name}: {value:.2%}" if is_share else f"{name}: {value:.4g}")
        elif isinstance(value, dict) and len(value) <= 20:
            lines.append(f"{name}: {json.dumps(value)}")
    return lines


_NO_SHARES = ("temperature", "l2", "regularization")
