"""The command line: parse, build, call one function.

Nothing heavy is imported before a command runs, so that help is instant.

Exit codes: 0 done; 2 a mistake in what was asked, told in one line; 128 + the signal's
number for a run that was interrupted and saved.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from vit_jax import __version__

_EXAMPLES = """examples:
  vit-jax train --config=configs/digits.py
  vit-jax train --config=configs/vit_b16.py:cifar10 --config.optim.learning_rate=0.01
  vit-jax eval --workdir=runs/digits
  vit-jax predict --checkpoint=runs/digits photo.jpg folder/ "scans/*.png"
"""

_CHECKPOINT = "a workdir, a checkpoint file of any format, or the name of weights"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _make_parser()
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and arguments.command != "train":
        parser.error(f"unrecognised arguments: {' '.join(overrides)}")
    from vit_jax.config import ConfigError

    try:
        return _COMMANDS[arguments.command](arguments, overrides)
    except ConfigError as error:
        print(f"vit-jax: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `vit-jax predict ... | head`
            sys.stderr.close()
            return 0
        where = f": {error.filename}" if error.filename else ""
        print(f"vit-jax: error: {error.strerror or error}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return 130


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vit-jax",
        description="Train, evaluate and use Vision Transformers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"examples:\n{epilog}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    train = add(
        "train",
        "Train a model; the same command again goes on where it ended.",
        "  vit-jax train --config=configs/digits.py\n"
        "  vit-jax train --config=configs/digits.py --config.train.total_epochs=5\n"
        "  vit-jax train --config=configs/digits.py --show\n",
    )
    train.add_argument(
        "--config",
        required=True,
        metavar="FILE[:ARG]",
        help="a config file, and what its get_config(arg) takes; any value in it is "
        "overridden by --config.SECTION.KEY=VALUE",
    )
    train.add_argument(
        "--workdir", type=Path, help="where the run lives (default: runs/NAME)"
    )
    train.add_argument(
        "--show", action="store_true", help="print the resolved config and stop"
    )
    hosts = train.add_argument_group(
        "several hosts",
        "run the command on each; a Cloud TPU slice, SLURM, Open MPI and Kubernetes "
        "need none of these",
    )
    hosts.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 listens"
    )
    hosts.add_argument("--num_processes", type=int, metavar="N", help="of the run")
    hosts.add_argument(
        "--process_id", type=int, metavar="I", help="of this one, from 0"
    )
    hosts.add_argument(
        "--peer_timeout",
        type=int,
        metavar="SECONDS",
        default=100,
        help="after which a silent process counts as lost (default: %(default)s)",
    )

    evaluate = add(
        "eval",
        "Evaluate a checkpoint on a whole split.",
        "  vit-jax eval --workdir=runs/digits\n"
        "  vit-jax eval --workdir=runs/digits --split=train --json\n"
        "  vit-jax eval --checkpoint=ViT-B_16.npz --source=folder:imagenet\n"
        "  vit-jax eval --workdir=runs/digits --evaluator=knn\n",
    )
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--workdir", type=Path, help="of the run; its newest checkpoint")
    which.add_argument("--checkpoint", help=_CHECKPOINT)
    evaluate.add_argument("--split", help="a TFDS split string (default: the run's)")
    evaluate.add_argument("--source", help="other data with the same classes")
    evaluate.add_argument(
        "--evaluator",
        metavar="NAME",
        help="classes, calibration, real, fewshot, knn or probe (default: top-1, top-5 "
        "and loss)",
    )
    evaluate.add_argument(
        "--train_split",
        help="what fewshot, knn and probe learn from (default: the run's)",
    )
    evaluate.add_argument(
        "--labels", type=Path, metavar="FILE", help="real.json, for the evaluator real"
    )
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    predict = add(
        "predict",
        "Name what is in images.",
        "  vit-jax predict --checkpoint=runs/digits photo.jpg\n"
        '  vit-jax predict --checkpoint=runs/digits --csv folder/ "scans/*.png"\n',
    )
    predict.add_argument("--checkpoint", required=True, help=_CHECKPOINT)
    predict.add_argument(
        "--top", type=int, default=3, metavar="K", help="classes shown"
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list")
    form.add_argument("--csv", action="store_true", help="print one row per class")
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE", help="file, folder, glob"
    )

    features = add(
        "features",
        "Write what the model makes of images before it classifies them.",
        "  vit-jax features --checkpoint=runs/digits folder/ --output=features.npz\n"
        "  vit-jax features --checkpoint=ViT-B/16 photo.jpg --layer=-1 --kind=grid \\\n"
        "    --output=grid.parquet\n",
    )
    features.add_argument("--checkpoint", required=True, help=_CHECKPOINT)
    features.add_argument(
        "--kind",
        default="features",
        help="features: what the head sees (default); of one layer: token, the class "
        "token; mean, of the patches; grid, the patches in their place",
    )
    features.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="from 0, or from -1 backwards (default: after the last norm)",
    )
    features.add_argument(
        "--output", type=Path, required=True, help="a .npz, or a .parquet"
    )
    features.add_argument(
        "images", nargs="+", metavar="IMAGE", help="file, folder, glob"
    )

    figures = add(
        "figures",
        "Draw where a model looks, what it has learned and what it gets wrong.",
        "  vit-jax figures --checkpoint=runs/digits\n"
        "  vit-jax figures --checkpoint=ViT-B/16 photo.jpg --kind=rollout\n",
    )
    figures.add_argument("--checkpoint", required=True, help=_CHECKPOINT)
    figures.add_argument(
        "--output", type=Path, default=Path("figures"), help="a folder of PNG files"
    )
    figures.add_argument(
        "--kind",
        action="append",
        default=[],
        help="attention, rollout, distance, positions, filters, curves, confusion, "
        "mistakes or reliability; may be repeated (default: all that there is)",
    )
    figures.add_argument("--source", help="other data than the run's")
    figures.add_argument("--split", help="a TFDS split string (default: the run's)")
    figures.add_argument(
        "images", nargs="*", metavar="IMAGE", help="file, folder, glob (default: data)"
    )

    report = add(
        "report",
        "Write one HTML page about a run: curves, accuracy, mistakes, attention.",
        "  vit-jax report runs/digits\n"
        "  vit-jax report runs/digits --output=digits.html\n",
    )
    report.add_argument("workdir", type=Path, help="of the run")
    report.add_argument(
        "--output", type=Path, help="the page (default: WORKDIR/report.html)"
    )

    models = add(
        "models",
        "List published weights, or explain one.",
        "  vit-jax models\n"
        "  vit-jax models 'dinov2/*'\n"
        "  vit-jax models imagenet21k/ViT-B_16\n",
    )
    models.add_argument("name", nargs="?", help="a name, or a pattern with *")
    models.add_argument("--json", action="store_true", help="print all that is known")

    convert = add(
        "convert",
        "Convert a checkpoint of any format.",
        "  vit-jax convert ViT-B_16.npz vit_b16.safetensors --drop pre_logits\n"
        "  vit-jax convert runs/digits digits.npz --to google --check\n",
    )
    convert.add_argument("source", help="a file, folder, workdir, or name of weights")
    convert.add_argument("output", type=Path, help="a .npz, a .safetensors or a folder")
    convert.add_argument(
        "--to",
        metavar="FORMAT",
        help="google, google_prelinen, big_vision, timm or huggingface (default: by the "
        "name of the output)",
    )
    convert.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="PART",
        help="what the other format cannot hold: pre_logits, head, activation, "
        "layer_norm_epsilon; may be repeated",
    )
    convert.add_argument(
        "--check",
        action="store_true",
        help="run random images through both, and through the other library if it is "
        "installed, and print the largest difference",
    )

    data = add(
        "data",
        "Look at data.",
        "  vit-jax data export digits images/ --split='test[:8]'\n",
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser(
        "export", help="write a split as PNG files, one folder per class"
    )
    export.add_argument("source", help="digits, folder:DIR or tfds:NAME")
    export.add_argument("output", type=Path, help="a folder that will be made")
    export.add_argument("--split", default="test", help="a TFDS split string")
    export.add_argument("--data_dir", help="where TFDS datasets lie")
    return parser


def _train(arguments: argparse.Namespace, overrides: list[str]) -> int:
    from vit_jax.config_file import load_config

    config = load_config(arguments.config, overrides)
    if arguments.show:
        from vit_jax.resolve import resolve

        _print_json(resolve(config))
        return 0
    workdir = arguments.workdir or Path("runs") / config.name
    from vit_jax import distributed
    from vit_jax.metrics import describe
    from vit_jax.train import train

    # Orbax raises what goes wrong in a save, after logging it from each thread.
    for logger in ("absl", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    distributed.initialize(
        arguments.coordinator,
        arguments.num_processes,
        arguments.process_id,
        peer_timeout=arguments.peer_timeout,
    )
    result = train(config, workdir)
    say = print if distributed.is_primary() else _say_nothing
    if result.interrupted_by:
        say(f"stopped and saved at step {result.step}; repeat the command to go on")
        return 128 + result.interrupted_by
    say(f"done in {result.seconds:.0f} s: {describe(result.metrics)}")
    if result.num_bad_files:
        count = f"{result.num_bad_files} unreadable image"
        plural = "s" if result.num_bad_files > 1 else ""
        say(f"skipped {count}{plural}, named in {workdir / 'bad_files.txt'}")
    say(f"next: vit-jax predict --checkpoint={workdir} IMAGE...")
    return 0


def _say_nothing(*_) -> None:
    """What the other hosts print."""


def _evaluate(arguments: argparse.Namespace, _: list[str]) -> int:
    checkpoint = arguments.workdir or arguments.checkpoint
    if arguments.evaluator:
        from vit_jax import evaluators

        values = evaluators.run(
            arguments.evaluator,
            checkpoint,
            arguments.split,
            arguments.source,
            arguments.train_split,
            arguments.labels,
        )
        lines = evaluators.describe(values)
        print(json.dumps(values) if arguments.json else "\n".join(lines))
        return 0
    from vit_jax.evaluate import evaluate
    from vit_jax.metrics import describe

    metrics = evaluate(checkpoint, arguments.split, arguments.source)
    print(json.dumps(metrics) if arguments.json else describe(metrics))
    return 0


def _predict(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.predict import Predictor, find_images

    paths = find_images(arguments.images)
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


def _report(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.report import write_report

    print(f"wrote {write_report(arguments.workdir, arguments.output)}")
    return 0


def _models(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax import weights

    name = arguments.name
    one = name and not any(c in name for c in "*?[")
    if arguments.json:
        rows = (
            [weights.as_json(weights.info(name))]
            if one
            else weights.describe_table(name)
        )
        print(json.dumps(rows, indent=2))
    else:
        lines = weights.describe(name) if one else weights.table_lines(name)
        print("\n".join(lines))
    return 0


def _convert(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax import convert
    from vit_jax.pretrained import open_checkpoint

    lines = convert.convert_file(
        arguments.source,
        arguments.output,
        arguments.to,
        arguments.check,
        arguments.drop,
        open_checkpoint(arguments.source),
    )
    print("\n".join(lines))
    return 0


def _data(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.data.export import export

    count = export(
        arguments.source, arguments.output, arguments.split, arguments.data_dir
    )
    print(f"wrote {count} images to {arguments.output}")
    return 0


def _print_json(config) -> None:
    import dataclasses

    print(json.dumps(dataclasses.asdict(config), indent=2))


_COMMANDS = {
    "train": _train,
    "eval": _evaluate,
    "predict": _predict,
    "features": _features,
    "figures": _figures,
    "report": _report,
    "models": _models,
    "convert": _convert,
    "data": _data,
}
