"""The folder of a run: where it may be, and the files in it that have no other home."""

import dataclasses
import json
import os
import re
import tempfile
from pathlib import Path

import jax

from vit_jax.config import Config, ConfigError


def check_place(workdir: str | Path) -> None:
    """Raises ConfigError for a bucket: logs are appended to, and it cannot append."""
    if re.match(r"(gs|s3|az|hdfs):/", str(workdir)):
        raise ConfigError(
            f"--workdir must be a folder that every host sees, got {workdir}; mount the "
            "bucket and give the folder (docs/cloud.md)"
        )


def make_folder(workdir: Path) -> None:
    """Makes the workdir, and learns here whether it can be written to.

    Raises:
      ConfigError: it cannot.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise ConfigError(
            f"workdir {workdir} cannot be written to: {error.strerror}; choose another "
            "--workdir"
        ) from error


def write_config(config: Config, workdir: Path) -> None:
    """Leaves the resolved config in ``config.json``."""
    unfinished = workdir / "config.json.tmp"
    unfinished.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    os.replace(unfinished, workdir / "config.json")


def bad_files_path(workdir: Path) -> Path:
    """Returns the list of what this process cannot read; each reads its own images."""
    index = jax.process_index()
    return workdir / (f"bad_files.{index}.txt" if index else "bad_files.txt")
