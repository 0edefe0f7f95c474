"""Commands that judge a checkpoint: eval, report."""

import argparse
import json
from pathlib import Path

from vit_jax.cli.parsers import CHECKPOINT, Commands, add_command, complete_files


def add(commands: Commands) -> None:
    _add_eval(commands)
    _add_report(commands)


def _add_eval(commands: Commands) -> None:
    parser = add_command(
        commands,
        "eval",
        "Evaluate a checkpoint on a whole split.",
        "  vit-jax eval --workdir=runs/digits\n"
        "  vit-jax eval --workdir=runs/digits --split=train --json\n"
        "  vit-jax eval --checkpoint=deit/ViT-B_16-224 --source=folder:imagenet\n"
        "  vit-jax eval --workdir=runs/digits --evaluator=knn\n",
        _evaluate,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    complete_files(
        which.add_argument("--workdir", help="of the run; its newest checkpoint")
    )
    complete_files(which.add_argument("--checkpoint", help=CHECKPOINT))
    parser.add_argument("--split", help="a TFDS split string (default: the run's)")
    parser.add_argument("--source", help="other data with the same classes")
    parser.add_argument(
        "--evaluator",
        metavar="NAME",
        help="classes, calibration, real, fewshot, knn or probe (default: top-1, top-5 "
        "and loss)",
    )
    parser.add_argument(
        "--train_split",
        help="what fewshot, knn and probe learn from (default: the run's)",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="real.json, for the evaluator real"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_report(commands: Commands) -> None:
    parser = add_command(
        commands,
        "report",
        "Write one HTML page about a run: curves, accuracy, mistakes, attention.",
        "  vit-jax report runs/digits\n"
        "  vit-jax report runs/digits --output=digits.html\n",
        _report,
    )
    complete_files(parser.add_argument("workdir", help="of the run"))
    parser.add_argument("--output", help="the page (default: WORKDIR/report.html)")


def _evaluate(arguments: argparse.Namespace, _: list[str]) -> int:
    checkpoint = arguments.workdir or arguments.checkpoint
    if arguments.evaluator:
        from vit_jax import evaluators

        values = evaluators.run_evaluator(
            arguments.evaluator,
            checkpoint,
            arguments.split,
            arguments.source,
            arguments.train_split,
            arguments.labels,
        )
        lines = evaluators.describe_numbers(values)
        print(json.dumps(values) if arguments.json else "\n".join(lines))
        return 0
    from vit_jax.infer.evaluate import run_evaluation

    found = run_evaluation(checkpoint, arguments.split, arguments.source)
    print(json.dumps(found.metrics) if arguments.json else found.summary)
    return 0


def _report(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.report import write_report

    print(f"wrote {write_report(arguments.workdir, arguments.output)}")
    return 0
