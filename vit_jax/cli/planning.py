"""The commands that say how fast a run is: plan predicts, bench measures."""

import argparse
import json
from pathlib import Path

from vit_jax.cli.parsers import Commands, add_command, add_config, check_picture
from vit_jax.config.choices import PHASES


def add(commands: Commands) -> None:
    _add_plan(commands)
    _add_bench(commands)


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
        print(plan.format_plans(plans))
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
