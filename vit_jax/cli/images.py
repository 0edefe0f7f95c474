"""Commands about images: predict, features, figures."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_jax.cli.parsers import (
    CHECKPOINT,
    Commands,
    add_command,
    add_images,
    add_share,
    complete_files,
    parse_output_path,
)
from vit_jax.config.choices import FEATURES, FIGURES
from vit_jax.errors import ConfigError

if TYPE_CHECKING:
    from vit_jax.infer.parts import Part
    from vit_jax.infer.predict import Prediction


def add(commands: Commands) -> None:
    """Adds `predict`, `features` and `figures`."""
    _add_predict(commands)
    _add_features(commands)
    _add_figures(commands)


def _add_predict(commands: Commands) -> None:
    parser = add_command(
        commands,
        "predict",
        "Classify images: print or write the most likely classes.",
        "  vit-jax predict --checkpoint=runs/digits photo.jpg\n"
        '  vit-jax predict --checkpoint=runs/digits --csv folder/ "scans/*.png"\n'
        "  vit-jax predict --checkpoint=runs/digits folder/ --output=names.csv\n",
        _predict,
    )
    complete_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        metavar="K",
        help="number of classes per image (default: %(default)s)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print one row per class")
    form.add_argument(
        "--output",
        type=parse_output_path,
        help="write a .csv or .jsonl file instead of printing, for any number of images; "
        "if the command is killed, repeat it to resume",
    )
    add_share(parser)
    add_images(parser, "+")


def _add_features(commands: Commands) -> None:
    parser = add_command(
        commands,
        "features",
        "Extract features from images.",
        "  vit-jax features --checkpoint=runs/digits folder/ --output=features.npz\n"
        "  vit-jax features --checkpoint=ViT-B/16 photo.jpg --layer=-1 --kind=grid \\\n"
        "    --output=grid.parquet\n",
        _run_features,
        [FEATURES],
    )
    complete_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument(
        "--kind",
        default="features",
        metavar="NAME",
        help="a kind of feature, listed below (default: %(default)s)",
    )
    parser.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="index of the layer, from 0, or from -1 backwards (default: after the last "
        "norm)",
    )
    parser.add_argument(
        "--output",
        type=parse_output_path,
        required=True,
        help="a .npz or .parquet file, for any number of images; if the command is "
        "killed, repeat it to resume",
    )
    add_share(parser)
    add_images(parser, "+")


def _add_figures(commands: Commands) -> None:
    parser = add_command(
        commands,
        "figures",
        "Draw figures of a model: attention, parameters, curves and mistakes.",
        "  vit-jax figures --checkpoint=runs/digits\n"
        "  vit-jax figures --checkpoint=ViT-B/16 photo.jpg --kind=rollout\n",
        _run_figures,
        [FIGURES],
    )
    complete_files(parser.add_argument("--checkpoint", required=True, help=CHECKPOINT))
    parser.add_argument(
        "--output",
        type=parse_output_path,
        default=Path("figures"),
        help="folder for the PNG files (default: %(default)s)",
    )
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="NAME",
        help="a kind of figure, listed below; may be repeated (default: all that the "
        "checkpoint has)",
    )
    parser.add_argument("--source", help="data to evaluate on (default: the run's)")
    parser.add_argument(
        "--split", help="split to evaluate, a TFDS split string (default: the run's)"
    )
    add_images(parser, "*", " (default: images of the split)")


def _predict(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.infer.image_files import find_images
    from vit_jax.infer.parts import find_share
    from vit_jax.infer.predict import Predictor
    from vit_jax.infer.prediction_files import (
        predictions_to_json,
        print_csv,
        write_predictions,
    )

    paths = find_images(arguments.images)
    if arguments.top < 1:
        raise ConfigError(
            f"--top must be at least 1, got {arguments.top}; leave it out for 3"
        )
    share = find_share(arguments.num_processes, arguments.process_id)
    predictor = Predictor(arguments.checkpoint)
    if arguments.output:
        part = write_predictions(
            predictor, paths, arguments.output, arguments.top, share
        )
        return _report_part(part, "predictions of {} images")
    if share[1] > 1:
        raise ConfigError(
            f"--output must be given where {share[1]} processes share the images, got "
            "none; add --output=FILE"
        )
    predictions = predictor.predict(paths, arguments.top)
    for prediction in predictions:
        if prediction.error:
            print(f"vit-jax: error: {prediction.error}", file=sys.stderr)
    good = [prediction for prediction in predictions if not prediction.error]
    if arguments.json:
        print(json.dumps([predictions_to_json(p) for p in good], indent=2))
    elif arguments.csv:
        print_csv(good, sys.stdout)
    else:
        _print_lines(good)
    return 0 if len(good) == len(predictions) else 2


def _print_lines(predictions: Sequence["Prediction"]) -> None:
    from vit_jax.infer.prediction_files import list_classes

    width = max((len(p.path) for p in predictions), default=0)
    for p in predictions:
        text = "  ".join(f"{name} {value:.1%}" for _, name, value in list_classes(p))
        print(f"{p.path:<{width}}  {text}")


def _run_features(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.infer.feature_files import write_features
    from vit_jax.infer.image_files import find_images
    from vit_jax.infer.parts import find_share

    part = write_features(
        arguments.checkpoint,
        find_images(arguments.images),
        arguments.output,
        arguments.layer,
        arguments.kind,
        find_share(arguments.num_processes, arguments.process_id),
    )
    return _report_part(part, "features of {} images")


def _report_part(part: "Part", what: str) -> int:
    """Prints what was written and which images could not be read; returns the exit code."""
    for error in part.errors.values():
        print(f"vit-jax: error: {error}", file=sys.stderr)
    print(f"wrote {what.format(part.num_images)} to {part.path}")
    return 2 if part.errors else 0


def _run_figures(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.figures import write_figures
    from vit_jax.infer.image_files import find_images

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
