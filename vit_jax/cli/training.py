"""Commands that take a config: train, plan, bench."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vit_jax.cli.parsers import (
    Commands,
    add_command,
    add_config,
    check_picture,
    complete_files,
)
from vit_jax.config.choices import PHASES

if TYPE_CHECKING:
    from vit_jax.training.loop import Result


def add(commands: Commands) -> None:
    _add_train(commands)
    _add_plan(commands)
    _add_bench(commands)


def _add_train(commands: Commands) -> None:
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


def _add_plan(commands: Commands) -> None:
    parser = add_command(
        commands,
        "plan",
        "Predict memory and speed of a run, without the hardware.",
        "  vit-jax plan --config=configs/vit_b16.py --topology=v5e:2x4\n"
        "  vit-jax plan --config=configs/vit_l16.py --chip=H100 --num_devices=8 "
        "--search\n",
        _plan,
    )
    add_config(parser)
    parser.add_argument(
        "--topology",
        metavar="CHIP:SHAPE",
        help="compile for a TPU slice that need not exist, such as v5e:2x4 (extra tpu)",
    )
    parser.add_argument(
        "--chip", help="estimate from shapes for this chip, such as H100"
    )
    parser.add_argument(
        "--num_devices",
        type=int,
        default=1,
        metavar="N",
        help="number of chips (default: %(default)s)",
    )
    parser.add_argument(
        "--num_classes",
        type=int,
        default=1000,
        metavar="Y",
        help="classes of the head (default: %(default)s)",
    )
    parser.add_argument(
        "--no_compile", action="store_true", help="estimate from shapes alone"
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="try meshes, micro-batches and remat policies, and print the best",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the memory")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_bench(commands: Commands) -> None:
    parser = add_command(
        commands,
        "bench",
        "Measure the speed of training and inference on this machine.",
        "  vit-jax bench --config=configs/digits.py\n"
        "  vit-jax bench --config=configs/vit_b16.py --config.data.batch_size=64 "
        "--phase=train --json\n",
        _bench,
        [PHASES],
    )
    add_config(parser)
    parser.add_argument(
        "--phase",
        action="append",
        metavar="NAME",
        help="a phase, listed below; may be repeated (default: all)",
    )
    parser.add_argument(
        "--num_classes",
        type=int,
        default=1000,
        metavar="Y",
        help="classes of the head (default: %(default)s)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=10,
        metavar="N",
        help="measurements per phase (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="approximate duration of a measurement (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


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


def _plan(arguments: argparse.Namespace, overrides: list[str]) -> int:
    check_picture(arguments.picture, ".png", ".svg", ".pdf")
    from vit_jax import plan
    from vit_jax.config.file import load_config

    config = load_config(arguments.config, overrides)
    where = {
        "topology": arguments.topology,
        "chip": arguments.chip,
        "num_devices": arguments.num_devices,
        "num_classes": arguments.num_classes,
    }
    if arguments.search:
        compile_best = 0 if arguments.no_compile else 3
        plans = plan.search_plans(config, **where, compile_best=compile_best)
    else:
        plans = [plan.make_plan(config, **where, compiled=not arguments.no_compile)]
    if arguments.json:
        rows = [found.to_json() for found in plans]
        print(json.dumps(rows if arguments.search else rows[0], indent=2))
    elif arguments.search:
        print(plan.format_table(plans))
    else:
        print(plan.format_plan(plans[0]))
    if arguments.picture:
        plan.draw_memory(plans, arguments.picture)
    return 1 if plans[0].fits is False else 0


def _bench(arguments: argparse.Namespace, overrides: list[str]) -> int:
    from vit_jax import bench
    from vit_jax.config.file import load_config

    result = bench.run_bench(
        load_config(arguments.config, overrides),
        num_classes=arguments.num_classes,
        phases=arguments.phase or (),
        repeats=arguments.repeats,
        seconds=arguments.seconds,
    )
    print(
        json.dumps(result, indent=2) if arguments.json else bench.format_bench(result)
    )
    return 0
