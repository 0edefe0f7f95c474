"""Commands about this machine: doctor, completion."""

import argparse
import json
import sys

from vit_jax.cli.parsers import Commands, add_command


def add(commands: Commands) -> None:
    """Adds `doctor` and `completion`."""
    doctor = add_command(
        commands,
        "doctor",
        "Check this machine: devices, versions, missing packages, a short self-test.",
        "  vit-jax doctor\n  vit-jax doctor --json\n",
        _run_doctor,
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    completion = add_command(
        commands,
        "completion",
        "Print a shell script that completes commands and options.",
        '  eval "$(vit-jax completion bash)"    # in ~/.bashrc\n'
        "  vit-jax completion zsh > ~/.zfunc/_vit-jax\n"
        "  vit-jax completion fish > ~/.config/fish/completions/vit-jax.fish\n",
        _run_completion,
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))


def _run_doctor(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.doctor import examine as doctor

    checks = doctor.examine()
    if arguments.json:
        print(json.dumps(doctor.checks_to_json(checks), indent=2))
    else:
        print("\n".join(doctor.describe_checks(checks, colour=sys.stdout.isatty())))
    return 1 if any(check.status == "bad" for check in checks) else 0


def _run_completion(arguments: argparse.Namespace, _: list[str]) -> int:
    from vit_jax.errors import ConfigError

    try:
        import shtab
    except ImportError as error:
        raise ConfigError(
            "shtab must be installed to print a completion script; run "
            '`pip install "vit_jax[completion]"`'
        ) from error
    print(shtab.complete(arguments.parser, arguments.shell))
    return 0
