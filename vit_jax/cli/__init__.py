"""The command line: parse arguments, then call one function.

Nothing heavy is imported before a command runs, so that help is instant.

Exit codes: 0 success; 1 success with a negative answer (`doctor` found a problem, `plan`
found that the run does not fit); 2 a user's mistake, reported in one line; 128 + the
signal's number for a run that was interrupted and saved.
"""

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from vit_jax._version import __version__
from vit_jax.cli import datasets, evaluation, files, images, planning, setup, training

__all__ = ["main"]

_EXAMPLES = """examples:
  vit-jax train --config=configs/digits.py
  vit-jax train --config=configs/vit_b16.py:cifar10 --config.optim.learning_rate=0.01
  vit-jax eval --workdir=runs/digits
  vit-jax predict --checkpoint=runs/digits photo.jpg folder/ "scans/*.png"
  vit-jax doctor

exit codes:
  0  success
  1  a negative answer: doctor found a problem, or plan that the run does not fit
  2  a mistake in the arguments, config or files, reported in one line
  128 + N  stopped by signal N after saving; repeat the command to resume
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    Args:
      argv: arguments after the program's name; None: those of the process.
    """
    parser = _make_parser()
    argv = _expand_values(parser, sys.argv[1:] if argv is None else argv)
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and "config" not in arguments:
        parser.error(f"unrecognised arguments: {' '.join(overrides)}")
    from vit_jax.errors import ConfigError
    from vit_jax.storage.bucket import explain_storage_error

    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may not be valid UTF-8
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        with _print_notes():
            return arguments.run(arguments, overrides)
    except ConfigError as error:
        print(f"vit-jax: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `vit-jax predict ... | head`
            sys.stderr.close()
            return 0
        where = f": {error.filename}" if error.filename else ""
        reason = error.strerror or explain_storage_error(error) or error
        print(f"vit-jax: error: {reason}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        reason = explain_storage_error(error)
        if reason is None:
            raise
        print(f"vit-jax: error: {reason}; repeat the command", file=sys.stderr)
        return 2


def _expand_values(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Returns the arguments with ``~`` expanded in values; refuses empty values."""
    expanded = list(argv)
    for i, argument in enumerate(expanded):
        option, equals, value = argument.partition("=")
        # An unset shell variable, which would otherwise mean the current folder.
        if option.startswith("--") and equals and not value:
            parser.error(f"{argument} must be followed by a value, got none")
        # Shells expand ~ only at the start of a word, not after the =.
        if option.startswith("--") and value.startswith("~"):
            expanded[i] = f"{option}={os.path.expanduser(value)}"
    return expanded


@contextlib.contextmanager
def _print_notes() -> Iterator[None]:
    """Prints the package's log, such as assumptions about a checkpoint, to stderr."""
    logger, handler = logging.getLogger("vit_jax"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("vit-jax: note: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # some libraries add a handler to the root logger
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="vit-jax",
        description="Train, evaluate and use Vision Transformers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(parser=parser)  # for the script of `completion`
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (training, planning, evaluation, images, files, datasets, setup):
        module.add(commands)
    return parser
