"""Commands about data: check, prepare, convert, export."""

import argparse
import json
import os
import sys
from pathlib import Path

from vit_jax.cli.parsers import (
    Commands,
    add_command,
    check_picture,
    complete_files,
    parse_output_path,
)
from vit_jax.config.choices import SOURCES

_SOURCE = f"as data.source: {SOURCES.format_names()}; or a path, a URL or a TFDS name"


def add(commands: Commands) -> None:
    data = add_command(
        commands,
        "data",
        "Check, download, convert and export image data.",
        "  vit-jax data check folder:images --picture=samples.png\n"
        "  vit-jax data prepare oxford_flowers102\n"
        "  vit-jax data convert folder:images ~/tensorflow_datasets/my_images\n"
        "  vit-jax data export digits images/ --split='test[:8]'\n",
        _check,  # an action's own takes its place
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_check(actions)
    _add_prepare(actions)
    _add_convert(actions)
    _add_export(actions)
    for action in actions.choices.values():
        action.add_argument("--data_dir", help="the folder of TFDS datasets")


def _add_check(actions: Commands) -> None:
    parser = add_command(
        actions,
        "check",
        "Report sizes, classes, duplicates and unreadable files.",
        "  vit-jax data check folder:images --picture=samples.png\n"
        "  vit-jax data check gs://bucket/images\n"
        "  vit-jax data check digits --json\n",
        _check,
    )
    parser.add_argument("source", help=_SOURCE)
    parser.add_argument(
        "--split", default="all", help="a TFDS split string (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="write a picture with samples of each class",
    )


def _add_prepare(actions: Commands) -> None:
    parser = add_command(
        actions,
        "prepare",
        "Download and prepare a TFDS dataset.",
        "  vit-jax data prepare oxford_flowers102\n",
        _prepare,
    )
    parser.add_argument("name", help="NAME[/CONFIG][:VERSION], as TFDS writes it")


def _add_convert(actions: Commands) -> None:
    parser = add_command(
        actions,
        "convert",
        "Write a source as a TFDS dataset of ArrayRecord files.",
        "  vit-jax data convert folder:images ~/tensorflow_datasets/my_images\n",
        _convert,
    )
    parser.add_argument("source", help=_SOURCE)
    output = "the folder to write; its last part names the dataset"
    complete_files(parser.add_argument("output", type=parse_output_path, help=output))
    parser.add_argument(
        "--splits",
        default="train,test",
        help="splits, separated by commas (default: %(default)s)",
    )


def _add_export(actions: Commands) -> None:
    parser = add_command(
        actions,
        "export",
        "Write a split as PNG files, one folder per class.",
        "  vit-jax data export digits images/ --split='test[:8]'\n",
        _export,
    )
    parser.add_argument("source", help=_SOURCE)
    output = "the folder to write"
    complete_files(parser.add_argument("output", type=parse_output_path, help=output))
    parser.add_argument(
        "--split", default="test", help="a TFDS split string (default: %(default)s)"
    )


def _check(arguments: argparse.Namespace, _: list[str]) -> int:
    check_picture(arguments.picture, ".png", ".jpg")
    from vit_jax.data.check import check_data, write_picture

    report = check_data(
        arguments.source,
        arguments.split,
        arguments.data_dir,
        progress=sys.stderr.isatty(),
    )
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print("\n".join(report.lines()))
    if arguments.picture:
        write_picture(report, arguments.picture)
    return 0


def _prepare(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.data.sources.tfds import prepare_tfds

    print(f"prepared {prepare_tfds(arguments.name, arguments.data_dir)}")
    return 0


def _convert(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.data.convert import convert_source

    output = Path(os.path.expanduser(arguments.output))
    sizes = convert_source(
        arguments.source, output, arguments.splits.split(","), arguments.data_dir
    )
    counts = ", ".join(f"{size} images of {split}" for split, size in sizes.items())
    print(f"wrote {counts} to {output}")
    print(
        f"next: --config.data.source=tfds:{output.name} "
        f"--config.data.data_dir={output.parent}"
    )
    return 0


def _export(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.data.export import export_images

    count = export_images(
        arguments.source, arguments.output, arguments.split, arguments.data_dir
    )
    print(f"wrote {count} images to {arguments.output}")
    return 0
