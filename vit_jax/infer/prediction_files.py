"""Predictions as CSV and JSON: printed, or written to a file for any number of images."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from vit_jax.errors import ConfigError
from vit_jax.infer.parts import (
    Arrays,
    Chunks,
    Part,
    Share,
    collect_arrays,
    write_part,
)
from vit_jax.infer.predict import Prediction, Predictor


def write_predictions(
    predictor: Predictor,
    paths: Sequence[str],
    output: str | Path,
    top_k: int = 5,
    share: Share = (0, 1),
) -> Part:
    """Writes predictions of images: a row per class (.csv) or a line per image (.jsonl).

    Memory holds one chunk of images. A call that was killed resumes after its last
    finished chunk when it is repeated.

    Args:
      predictor: the model.
      paths: image files.
      output: a file; its suffix, .csv or .jsonl, sets the format.
      top_k: number of classes per image; at most all classes are written.
      share: (index, count): which of how many shares of the images this call processes;
        see `parts.find_share`.

    Raises:
      ConfigError: the suffix is neither .csv nor .jsonl, or the file cannot be written.
    """
    output, loaded = Path(output), predictor.loaded
    if output.suffix not in _WRITERS:
        raise ConfigError(
            f"output must end in .csv or .jsonl, got {output.name}; rename it"
        )
    count = min(top_k, loaded.need_head())

    def columns(values: list[tuple[np.ndarray, np.ndarray]]) -> Arrays:
        labels, scores = zip(*values, strict=True) if values else ((), ())
        return {
            "labels": np.array(labels, np.int32).reshape(-1, count),
            "probabilities": np.array(scores, np.float32).reshape(-1, count),
        }

    def write(path: Path, chunks: Chunks) -> None:
        predictions = (
            predictor.name(str(name), labels, scores)
            for arrays in chunks
            for name, labels, scores in zip(
                arrays["paths"], arrays["labels"], arrays["probabilities"], strict=True
            )
        )
        _WRITERS[output.suffix](predictions, path)

    return write_part(
        paths,
        output,
        made_of={"checkpoint": loaded.name, "step": loaded.step, "top": count},
        work=lambda some: collect_arrays(predictor.find_best(some, count), columns),
        write=write,
        share=share,
    )


def _write_csv(predictions: Iterable[Prediction], path: Path) -> None:
    with _open_text(path) as file:
        print_csv(predictions, file)


def _write_jsonl(predictions: Iterable[Prediction], path: Path) -> None:
    with _open_text(path) as file:
        for prediction in predictions:
            file.write(json.dumps(predictions_to_json(prediction)) + "\n")


_WRITERS = {".csv": _write_csv, ".jsonl": _write_jsonl}


def _open_text(path: Path) -> TextIO:
    # File names are bytes and may not be valid UTF-8: they are written unchanged.
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def print_csv(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Writes predictions as CSV: a header, and a row for each class of each image."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "rank", "label", "name", "probability"])
    for prediction in predictions:
        for rank, row in enumerate(list_classes(prediction), start=1):
            writer.writerow([prediction.path, rank, *row])


def predictions_to_json(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction as JSON values."""
    return {
        "path": prediction.path,
        "predictions": [
            {"label": label, "name": name, "probability": probability}
            for label, name, probability in list_classes(prediction)
        ],
    }


def list_classes(prediction: Prediction) -> Iterator[tuple[int, str, float]]:
    """Yields label, name and probability of each class, best first."""
    yield from zip(
        prediction.labels, prediction.names, prediction.probabilities, strict=True
    )
