"""Commands about images: predict, features, figures."""

import argparse
import csv
import json
import sys
from pathlib import Path

from vit_jax.cli.parsers import (
    CHECKPOINT,
    Commands,
    add_command,
    add_images,
    with_files,
)
from vit_jax.config import ConfigError


def add(commands: Commands) -> None:
    _add_predict(commands)
    _add_features(commands)
    _add_figures(commands)


def _add_predict(commands: Commands) -> None:
    parser = add_command(
        commands,
        "predict",
        "Name what is in images.",
        "  vit-jax predict --checkpoint=runs/digits photo.jpg\n"
        '  vit-jax predict --checkpoint=runs/digits --csv folder/ "scans/*.png"\n',
        _predict,
    )
    with_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes shown")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print one row per class")
    add_images(parser, "+")


def _add_features(commands: Commands) -> None:
    parser = add_command(
        commands,
        "features",
        "Write what the model makes of images before it classifies them.",
        "  vit-jax features --checkpoint=runs/digits folder/ --output=features.npz\n"
        "  vit-jax features --checkpoint=ViT-B/16 photo.jpg --layer=-1 --kind=grid \\\n"
        "    --output=grid.parquet\n",
        _features,
    )
    with_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument(
        "--kind",
        default="features",
        help="features: what the head sees (default); of one layer: token, the class "
        "token; mean, of the patches; grid, the patches in their place",
    )
    parser.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="from 0, or from -1 backwards (default: after the last norm)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="a .npz, or a .parquet"
    )
    add_images(parser, "+")


def _add_figures(commands: Commands) -> None:
    parser = add_command(
        commands,
        "figures",
        "Draw where a model looks, what it has learned and what it gets wrong.",
        "  vit-jax figures --checkpoint=runs/digits\n"
        "  vit-jax figures --checkpoint=ViT-B/16 photo.jpg --kind=rollout\n",
        _figures,
    )
    with_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument(
        "--output", type=Path, default=Path("figures"), help="a folder of PNG files"
    )
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        help="attention, rollout, distance, positions, filters, curves, confusion, "
        "mistakes or reliability; may be repeated (default: all that there is)",
    )
    parser.add_argument("--source", help="other data than the run's")
    parser.add_argument("--split", help="a TFDS split string (default: the run's)")
    add_images(parser, "*", " (default: data)")


def _predict(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.predict import Predictor, find_images

    paths = find_images(arguments.images)
    if arguments.top < 1:
        raise ConfigError(f"--top must be at least 1, got {arguments.top}")
    predictions = Predictor(arguments.checkpoint).predict(paths, arguments.top)
    for prediction in predictions:
        if prediction.error:
            print(f"vit-jax: error: {prediction.error}", file=sys.stderr)
    good = [prediction for prediction in predictions if not prediction.error]
    if arguments.json:
        rows = [
            {
                "path": p.path,
                "predictions": [
                    {"label": label, "name": name, "probability": probability}
                    for label, name, probability in _classes(p)
                ],
            }
            for p in good
        ]
        print(json.dumps(rows, indent=2))
    elif arguments.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["path", "rank", "label", "name", "probability"])
        for p in good:
            for rank, row in enumerate(_classes(p), start=1):
                writer.writerow([p.path, rank, *row])
    else:
        width = max((len(p.path) for p in good), default=0)
        for p in good:
            text = "  ".join(f"{name} {value:.1%}" for _, name, value in _classes(p))
            print(f"{p.path:<{width}}  {text}")
    return 0 if len(good) == len(predictions) else 2


def _classes(prediction):  # label, name, probability
    return zip(
        prediction.labels, prediction.names, prediction.probabilities, strict=True
    )


def _features(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.features import extract, write_features
    from vit_jax.image_files import find_images

    paths = find_images(arguments.images)
    found = extract(arguments.checkpoint, paths, arguments.layer, arguments.kind)
    for error in found.errors.values():
        print(f"vit-jax: error: {error}", file=sys.stderr)
    if found.paths:
        write_features(found, arguments.output)
        shape = " x ".join(str(size) for size in found.values.shape)
        print(f"wrote {shape} features to {arguments.output}")
    return 2 if found.errors else 0


def _figures(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.figures import write_figures
    from vit_jax.image_files import find_images

    written = write_figures(
        arguments.checkpoint,
        find_images(arguments.images),
        arguments.output,
        arguments.kind,
        arguments.source,
        arguments.split,
    )
    for error in written.errors.values():
        print(f"vit-jax: error: {error}", file=sys.stderr)
    for path in written.paths:
        print(f"wrote {path}")
    for kind, reason in written.left_out.items():
        print(f"no {kind}: {reason}")
    return 2 if written.errors else 0
