"""Commands about checkpoint files: models, convert."""

import argparse
import json

from vit_jax.cli.parsers import Commands, add_command, complete_files, parse_output_path
from vit_jax.config.choices import FORMATS


def add(commands: Commands) -> None:
    _add_models(commands)
    _add_convert(commands)


def _add_models(commands: Commands) -> None:
    parser = add_command(
        commands,
        "models",
        "List published weights, or explain one.",
        "  vit-jax models\n"
        "  vit-jax models 'dinov2/*'\n"
        "  vit-jax models imagenet21k/ViT-B_16\n",
        _models,
    )
    parser.add_argument(
        "name", nargs="?", help="a name, a part of several, or a pattern with *"
    )
    parser.add_argument("--json", action="store_true", help="print all that is known")


def _add_convert(commands: Commands) -> None:
    parser = add_command(
        commands,
        "convert",
        "Convert a checkpoint of any format.",
        "  vit-jax convert ViT-B_16.npz vit_b16.safetensors --drop pre_logits \\\n    --drop head\n"
        "  vit-jax convert runs/digits digits.npz --to google --check\n",
        _convert,
    )
    source = "a file, folder, workdir, or name of weights"
    complete_files(parser.add_argument("source", help=source))
    output = "a .npz, a .safetensors or a folder"
    complete_files(parser.add_argument("output", type=parse_output_path, help=output))
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        help="; ".join(f"{name}: {choice.help}" for name, choice in FORMATS.items())
        + " (default: by the name of the output)",
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="PART",
        help="what the other format cannot hold: pre_logits, head, activation, "
        "layer_norm_epsilon; may be repeated",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run random images through both, and through the other library if it is "
        "installed, and print the largest difference",
    )


def _models(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax import weights

    name = arguments.name
    one = name and not any(c in name for c in "*?[")
    if one:
        try:
            weights.describe_published(name)
        except weights.UnknownWeights:
            one = not weights.find_weights(name)  # a part of several names
    if arguments.json:
        rows = (
            [weights.convert_to_json(weights.describe_published(name))]
            if one
            else weights.describe_table(name)
        )
        print(json.dumps(rows, indent=2))
    else:
        lines = weights.describe_weights(name) if one else weights.format_table(name)
        print("\n".join(lines))
    return 0


def _convert(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax import checkpoints

    lines = checkpoints.convert_file(
        arguments.source,
        arguments.output,
        arguments.to,
        arguments.check,
        arguments.drop,
    )
    print("\n".join(lines))
    return 0
