"""The command that trains."""

import argparse
import json
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

from vit_jax.cli.parsers import (
    Commands,
    add_command,
    add_config,
    complete_files,
)

if TYPE_CHECKING:
    from vit_jax.training.loop import Result


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "train",
        "Train a model; the same command again resumes the run.",
        "  vit-jax train --config=configs/digits.py\n"
        "  vit-jax train --config=configs/digits.py --config.train.total_epochs=5\n"
        "  vit-jax train --config=configs/digits.py --show\n",
        _train,
    )
    add_config(parser)
    complete_files(
        parser.add_argument(
            "--workdir", help="a folder or gs://BUCKET/PATH (default: runs/CONFIG.NAME)"
        )
    )
    parser.add_argument(
        "--show", action="store_true", help="print the resolved config and stop"
    )
    _add_hosts(parser)


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    """Adds the options that connect the processes of a run on several hosts."""
    hosts = parser.add_argument_group(
        "several hosts",
        "Run the command on each host. On a Cloud TPU slice, and with SLURM, Open MPI\n"
        "and Kubernetes, these options are set automatically.",
    )
    hosts.add_argument(
        "--coordinator", metavar="HOST:PORT", help="the address of process 0"
    )
    hosts.add_argument(
        "--num_processes", type=int, metavar="N", help="number of processes"
    )
    hosts.add_argument(
        "--process_id", type=int, metavar="I", help="index of this process, from 0"
    )
    hosts.add_argument(
        "--peer_timeout",
        type=int,
        metavar="SECONDS",
        default=100,
        help="without a heartbeat, after which a process counts as lost "
        "(default: %(default)s)",
    )


def _train(arguments: argparse.Namespace, overrides: list[str]) -> int:
    from vit_jax.config.file import load_config

    config = load_config(arguments.config, overrides)
    if arguments.show:
        import dataclasses

        from vit_jax.training.resolve import resolve_config

        print(json.dumps(dataclasses.asdict(resolve_config(config)), indent=2))
        return 0
    from vit_jax.mesh import distributed
    from vit_jax.storage.bucket import open_location
    from vit_jax.training.loop import train

    workdir = open_location(arguments.workdir or f"runs/{config.name}")
    # Orbax raises the errors of a save, after logging each from its thread.
    for logger in ("absl", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    sys.unraisablehook = _ignore_late_writes
    unawaited = (
        "coroutine .* was never awaited"  # writes that such a save leaves behind
    )
    warnings.filterwarnings("ignore", unawaited, RuntimeWarning)
    distributed.initialize(
        arguments.coordinator,
        arguments.num_processes,
        arguments.process_id,
        peer_timeout=arguments.peer_timeout,
    )
    result = train(config, workdir)
    if distributed.is_primary():
        print("\n".join(_describe_result(result, workdir)))
    return 128 + result.interrupted_by if result.interrupted_by else 0


def _describe_result(result: "Result", workdir: Any) -> list[str]:
    """Returns what the command prints at the end of a run."""
    if result.interrupted_by:
        step = f"stopped and saved at step {result.step}"
        return [f"{step}; repeat the command to resume"]
    lines = [f"done in {result.seconds:.0f} s: {result.summary}"]
    if result.num_bad_files:
        count = f"{result.num_bad_files} unreadable image"
        plural = "s" if result.num_bad_files > 1 else ""
        lines.append(f"skipped {count}{plural}, named in {workdir / 'bad_files.txt'}")
    return [*lines, f"next: vit-jax predict --checkpoint={workdir} IMAGE..."]


def _ignore_late_writes(unraisable: Any) -> None:
    """Drops the errors of writes that end after a failed save has been reported."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
