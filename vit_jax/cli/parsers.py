"""Arguments that several commands share, and checks of their values."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vit_jax.config.choices import Choices
from vit_jax.config.choices.text import format_config_help

Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace, list[str]], int]  # (arguments, config overrides)
A = TypeVar("A", bound=argparse.Action)

CHECKPOINT = (
    "a workdir, a checkpoint file of any format, or the name of published weights"
)


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: str,
    run: Run,
    tables: Sequence[Choices] = (),
) -> argparse.ArgumentParser:
    """Adds a command; returns its parser.

    Args:
      commands: of the main parser.
      name: of the command.
      summary: one sentence on what the command produces.
      examples: one or several command lines.
      run: is called with the arguments and config overrides; returns the exit code.
      tables: choices of the command's options, printed below them.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog="\n".join([*map(format_choices, tables), f"examples:\n{examples}"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def format_choices(table: Choices) -> str:
    """Returns a table of choices as text: a title, and a line for each choice."""
    option = table.key.rpartition(" ")[2]
    names = table.list_forms()
    width = max(map(len, names))
    rows = [f"  {name:<{width}}  {row.help}\n"
            for name, row in zip(names, table.values(), strict=True)]  # fmt: skip
    return f"choices of {option}:\n{''.join(rows)}"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds ``--config``; the command then takes overrides of config values as well."""
    complete_files(
        parser.add_argument(
            "--config",
            required=True,
            metavar="FILE[:ARG]",
            help="a config file, optionally with the argument of its get_config; "
            "--config.SECTION.KEY=VALUE overrides a value",
        )
    )
    parser.epilog = f"{format_config_help()}\n{parser.epilog}"


def add_images(parser: argparse.ArgumentParser, nargs: str, default: str = "") -> None:
    """Adds the positional images of a command; ``default`` is added to the help."""
    text = f"a file, folder or glob{default}"
    complete_files(
        parser.add_argument("images", nargs=nargs, metavar="IMAGE", help=text)
    )


def add_share(parser: argparse.ArgumentParser) -> None:
    """Adds the options that split the images over several processes."""
    hosts = parser.add_argument_group(
        "several hosts",
        "Run the command on each host: each writes OUTPUT-I-of-N for its share of the\n"
        "images, independently of the others. On a Cloud TPU slice, and with SLURM and\n"
        "Open MPI, both options are set automatically.",
    )
    hosts.add_argument(
        "--num_processes", type=int, metavar="N", help="number of processes"
    )
    hosts.add_argument(
        "--process_id", type=int, metavar="I", help="index of this process, from 0"
    )


def check_picture(path: Path | None, *suffixes: str) -> None:
    """Checks the suffix of a picture before any work is done for it.

    Raises:
      ConfigError: the suffix is none of ``suffixes``.
    """
    from vit_jax.errors import ConfigError

    if path and path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"--picture must end in {' or '.join(suffixes)}, got {path}; rename it"
        )


def parse_output_path(text: str) -> Path:
    """Returns the path of an output, which must be on this machine.

    Raises:
      argparse.ArgumentTypeError: the text is a URL.
    """
    if re.match(r"\w+://", text):
        raise argparse.ArgumentTypeError(
            f"must be a path on this machine, got {text}; write to a local path, then "
            "copy the file"
        )
    return Path(text)


def complete_files(action: A) -> A:
    """Makes shell completion offer files for an argument; returns the argument."""
    vars(action)["complete"] = {  # read by shtab
        "bash": "_shtab_compgen_files",
        "zsh": "_files",
        "fish": "(__fish_complete_path (commandline -ct))",
    }
    return action
