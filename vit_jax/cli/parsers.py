"""What the parsers of all commands have in common."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vit_jax.config.choices.text import format_config_help

Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace, list[str]], int]  # the rest are config overrides
A = TypeVar("A", bound=argparse.Action)

CHECKPOINT = "a workdir, a checkpoint file of any format, or the name of weights"


def add_command(
    commands: Commands, name: str, summary: str, examples: str, run: Run
) -> argparse.ArgumentParser:
    """Adds a command; ``run`` returns its exit code."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds ``--config``, and with it the overrides."""
    complete_files(
        parser.add_argument(
            "--config",
            required=True,
            metavar="FILE[:ARG]",
            help="a config file, and what its get_config(arg) takes; any value in it "
            "is overridden by --config.SECTION.KEY=VALUE",
        )
    )
    parser.epilog = f"{format_config_help()}\n{parser.epilog}"


def add_images(parser: argparse.ArgumentParser, nargs: str, default: str = "") -> None:
    """Adds the images that a command looks at."""
    text = f"file, folder, glob{default}"
    complete_files(
        parser.add_argument("images", nargs=nargs, metavar="IMAGE", help=text)
    )


def add_share(parser: argparse.ArgumentParser) -> None:
    """Adds which share of the images is this process's."""
    hosts = parser.add_argument_group(
        "several hosts",
        "run the command on each: each writes OUTPUT-I-of-N of its share, and needs "
        "none of the others; a Cloud TPU slice, SLURM and Open MPI need neither",
    )
    hosts.add_argument("--num_processes", type=int, metavar="N", help="that share")
    hosts.add_argument(
        "--process_id", type=int, metavar="I", help="of this one, from 0"
    )


def check_picture(path: Path | None, *suffixes: str) -> None:
    """Tells of a picture that could not be written, before the work for it."""
    from vit_jax.errors import ConfigError

    if path and path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"--picture must end in {' or '.join(suffixes)}, got {path}; rename it"
        )


def parse_output_path(text: str) -> Path:
    """Returns the path of what a command writes, which must be on this machine."""
    if re.match(r"\w+://", text):
        raise argparse.ArgumentTypeError(
            f"must be a path on this machine, got {text}; write it here, and copy it there"
        )
    return Path(text)


def complete_files(action: A) -> A:
    """Lets shell completion offer files; these are shtab's names for that."""
    vars(action)["complete"] = {
        "bash": "_shtab_compgen_files",
        "zsh": "_files",
        "fish": "(__fish_complete_path (commandline -ct))",
    }
    return action
