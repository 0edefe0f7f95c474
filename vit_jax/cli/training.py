"""Commands about a config: train it, plan it, time it."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from vit_jax.cli.parsers import (
    Commands,
    add_command,
    add_config,
    check_picture,
    complete_files,
)


def add(commands: Commands) -> None:
    _add_train(commands)
    _add_plan(commands)
    _add_bench(commands)


def _add_train(commands: Commands) -> None:
    parser = add_command(
        commands,
        "train",
        "Train a model; the same command again goes on where it ended.",
        "  vit-jax train --config=configs/digits.py\n"
        "  vit-jax train --config=configs/digits.py --config.train.total_epochs=5\n"
        "  vit-jax train --config=configs/digits.py --show\n",
        _train,
    )
    add_config(parser)
    complete_files(
        parser.add_argument(
            "--workdir", help="a folder or gs://BUCKET/PATH (default: runs/NAME)"
        )
    )
    parser.add_argument(
        "--show", action="store_true", help="print the resolved config and stop"
    )
    hosts = parser.add_argument_group(
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


def _add_plan(commands: Commands) -> None:
    parser = add_command(
        commands,
        "plan",
        "Say whether a run fits, and how fast it would be, before there is hardware.",
        "  vit-jax plan --config=configs/vit_b16.py --topology=v5e:2x4\n"
        "  vit-jax plan --config=configs/vit_l16.py --chip=H100 --num_devices=8 "
        "--search\n",
        _plan,
    )
    add_config(parser)
    parser.add_argument(
        "--topology",
        metavar="CHIP:SHAPE",
        help="a TPU slice, such as v5e:2x4, compiled for without having it (extra tpu)",
    )
    parser.add_argument(
        "--chip", help="a chip of the table, by its name, such as H100; from shapes"
    )
    parser.add_argument(
        "--num_devices", type=int, default=1, metavar="N", help="of the chip"
    )
    parser.add_argument(
        "--num_classes", type=int, default=1000, metavar="Y", help="of the head"
    )
    parser.add_argument(
        "--no_compile", action="store_true", help="only what shapes alone tell"
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="try meshes, micro-batches and remat policies, and print the best",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="of the memory")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_bench(commands: Commands) -> None:
    parser = add_command(
        commands,
        "bench",
        "Time training and inference of a config on what is here.",
        "  vit-jax bench --config=configs/digits.py\n"
        "  vit-jax bench --config=configs/vit_b16.py --config.data.batch_size=64 "
        "--phase=train --json\n",
        _bench,
    )
    add_config(parser)
    parser.add_argument(
        "--phase",
        action="append",
        metavar="NAME",
        help="train or inference; may be repeated (default: both)",
    )
    parser.add_argument(
        "--num_classes", type=int, default=1000, metavar="Y", help="of the head"
    )
    parser.add_argument(
        "--repeats", type=int, default=10, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="that a repeat takes, about (default: %(default)s)",
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
    # Orbax raises what goes wrong in a save, after logging it from each thread.
    for logger in ("absl", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    sys.unraisablehook = _after_a_failed_save
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
    say(f"done in {result.seconds:.0f} s: {result.summary}")
    if result.num_bad_files:
        count = f"{result.num_bad_files} unreadable image"
        plural = "s" if result.num_bad_files > 1 else ""
        say(f"skipped {count}{plural}, named in {workdir / 'bad_files.txt'}")
    say(f"next: vit-jax predict --checkpoint={workdir} IMAGE...")
    return 0


def _after_a_failed_save(unraisable: Any) -> None:
    """Keeps quiet about writes that end when nobody waits for them any more."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _say_nothing(*_) -> None:
    """What the other hosts print."""


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
