"""ImageNet ReaL: top-1 on the reassessed labels of ImageNet's validation images.

Beyer et al. 2020 (arXiv:2006.07159). An image has any number of labels. A prediction is
correct if it is one of them; images without labels are not counted. The labels are
`real.json` from github.com/google-research/reassessed-imagenet: item i lists the labels of
ILSVRC2012_val_{i + 1:08}.JPEG.
"""

import json
import re
from pathlib import Path
from typing import Any

from vit_jax.errors import ConfigError
from vit_jax.evaluators.classes import compute_wilson_interval
from vit_jax.evaluators.subject import Subject, collect

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})")


def evaluate(subject: Subject) -> dict[str, Any]:
    """Returns the accuracy ``real``, its 95% interval and the number of images.

    Raises:
      ConfigError: as `subject.collect`, or the file of labels is missing, invalid, or
        has no labels of these images.
    """
    if subject.labels is None:
        raise ConfigError(
            "--labels must name the file of labels (real.json) for the evaluator real, "
            "got none; download it from github.com/google-research/reassessed-imagenet"
        )
    table = read_labels(subject.labels)
    found = collect(subject, "logits")
    hits = count = 0
    for index, logits in zip(found.indices, found.values, strict=True):
        labels = find_labels(found.source[int(index)]["name"], table)
        count += bool(labels)
        hits += int(logits.argmax()) in labels
    if not count:
        raise ConfigError(
            f"{subject.labels} must have labels of the evaluated images, got none of "
            f"split {subject.split}; evaluate ImageNet's validation images"
        )
    low, high = compute_wilson_interval(hits, count)
    return {"real": hits / count, "real_low": low, "real_high": high, "count": count}


def read_labels(path: Path) -> dict[str, list[int]]:
    """Reads a file of labels; returns file name -> labels.

    Raises:
      ConfigError: the file cannot be read, or is not a JSON list, or object by file name,
        of lists of labels.
    """
    try:
        table = json.loads(path.read_text())
        if isinstance(table, list):
            names = [f"ILSVRC2012_val_{i + 1:08}.JPEG" for i in range(len(table))]
            table = dict(zip(names, table, strict=True))
        return {name: [int(label) for label in row] for name, row in table.items()}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must hold a list of labels for each image, got another structure; "
            "use real.json from github.com/google-research/reassessed-imagenet"
        ) from error


def find_labels(name: str, table: dict[str, list[int]]) -> list[int]:
    """Returns the labels of an image.

    Args:
      name: of the image in its source.
      table: file name -> labels; see `read_labels`.

    Raises:
      ConfigError: the name is not in the table; images are never matched by order.
    """
    number = _NUMBER.search(name)
    key = f"{number[0]}.JPEG" if number else Path(name).name
    if key not in table:
        raise ConfigError(
            f"image names must be in the file of labels, got {name}; use a folder of the "
            "validation images under their original names"
        )
    return table[key]
