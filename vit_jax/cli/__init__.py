"""The command line: parse, build, call one function.

Nothing heavy is imported before a command runs, so that help is instant.

Exit codes: 0 done; 1 done, and the answer is no (`doctor` found a fault, `plan` that the
run does not fit); 2 a mistake in what was asked, told in one line; 128 + the signal's
number for a run that was interrupted and saved.
"""

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from vit_jax._version import __version__
from vit_jax.cli import datasets, files, images, judging, setup, training

__all__ = ["main"]

_EXAMPLES = """examples:
  vit-jax train --config=configs/digits.py
  vit-jax train --config=configs/vit_b16.py:cifar10 --config.optim.learning_rate=0.01
  vit-jax eval --workdir=runs/digits
  vit-jax predict --checkpoint=runs/digits photo.jpg folder/ "scans/*.png"
  vit-jax doctor

exit codes:
  0  done
  1  done, and the answer is no: doctor found a fault, plan that it does not fit
  2  a mistake in what was asked; one line says which
  128 + N  stopped by signal N, and saved; the same command goes on
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _make_parser()
    for i, argument in enumerate(argv):
        option, equals, value = argument.partition("=")
        # An unset variable of a script, which would otherwise mean this folder.
        if option.startswith("--") and equals and not value:
            parser.error(f"{argument} must be followed by a value, got none")
        # Shells expand ~ where a word begins, not behind the =.
        if option.startswith("--") and value.startswith("~"):
            argv[i] = f"{option}={os.path.expanduser(value)}"
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and "config" not in arguments:
        parser.error(f"unrecognised arguments: {' '.join(overrides)}")
    from vit_jax.errors import ConfigError
    from vit_jax.storage.bucket import explain_storage_error as storage_reason

    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        with _notes_on_stderr():
            return arguments.run(arguments, overrides)
    except ConfigError as error:
        print(f"vit-jax: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `vit-jax predict ... | head`
            sys.stderr.close()
            return 0
        where = f": {error.filename}" if error.filename else ""
        reason = error.strerror or storage_reason(error) or error
        print(f"vit-jax: error: {reason}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vit-jax: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        reason = storage_reason(error)
        if reason is None:
            raise
        print(f"vit-jax: error: {reason}; repeat the command", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Says aloud what was assumed about a checkpoint."""
    logger, handler = logging.getLogger("vit_jax"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("vit-jax: note: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries that we use put a handler above
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


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
    training.add(commands)
    judging.add(commands)
    images.add(commands)
    files.add(commands)
    datasets.add(commands)
    setup.add(commands)
    return parser
