"""Predictions as CSV and JSON, printed or as a file of any number of images."""

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

SUFFIXES = (".csv", ".jsonl")


def write_predictions(
    predictor: Predictor,
    paths: Sequence[str],
    output: str | Path,
    top_k: int = 5,
    share: Share = (0, 1),
) -> Part:
    """Writes a prediction for each image: a row per class, or a line of JSON per image.

    Memory holds one chunk of them; a killed call, repeated, goes on after the last.

    Args:
      predictor: of a checkpoint.
      paths: of image files.
      output: its suffix says the format, .csv or .jsonl.
      top_k: how many classes to name; at most all are.
      share: as `feature_files.write_features`'s.

    Raises:
      ConfigError: another suffix, or the file cannot be written.
    """
    output, loaded = Path(output), predictor.loaded
    if output.suffix not in SUFFIXES:
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
        # Names of files are bytes, of which not all are text: they are left as they are.
        with path.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            if output.suffix == ".csv":
                print_csv(predictions, file)
            else:
                for prediction in predictions:
                    file.write(json.dumps(predictions_to_json(prediction)) + "\n")

    return write_part(
        paths,
        output,
        made_of={"checkpoint": loaded.name, "step": loaded.step, "top": count},
        work=lambda some: collect_arrays(predictor.best(some, count), columns),
        write=write,
        share=share,
    )


def print_csv(predictions: Iterable[Prediction], file: TextIO) -> None:
    """Prints a header, and a row for each class of each image."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "rank", "label", "name", "probability"])
    for prediction in predictions:
        for rank, row in enumerate(list_classes(prediction), start=1):
            writer.writerow([prediction.path, rank, *row])


def predictions_to_json(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction as JSON holds it."""
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
