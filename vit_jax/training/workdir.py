"""The folder of a run, and the files in it that no other module writes."""

import dataclasses
import json
import os
import tempfile
from pathlib import Path

import jax

from vit_jax.config import Config
from vit_jax.errors import ConfigError
from vit_jax.mesh.distributed import is_primary
from vit_jax.storage import bucket
from vit_jax.training.events import FILE as EVENTS


def make_folder(workdir: Path) -> None:
    """Makes the workdir, and checks that it can be written to.

    Raises:
      ConfigError: it cannot be written to.
    """
    in_bucket = bucket.is_bucket(workdir)
    try:
        if in_bucket:  # which has no folders to make
            (workdir / ".can_be_written").write_text("")
            (workdir / ".can_be_written").unlink()
            return
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except Exception as error:
        why = (
            bucket.explain_storage_error(error)
            if in_bucket
            else getattr(error, "strerror", None)
        )
        if why is None:
            raise
        raise ConfigError(
            f"workdir {workdir} cannot be written to: {why}; choose another --workdir"
        ) from error


def write_config(config: Config, workdir: Path) -> None:
    """Writes the resolved config to ``config.json``."""
    unfinished = workdir / "config.json.tmp"
    unfinished.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    os.replace(unfinished, workdir / "config.json")


def list_appended_files() -> list[str]:
    """Returns the names of the files that this process of a run appends to."""
    logs = ["metrics.jsonl", EVENTS] if is_primary() else []
    return [*logs, find_bad_files_path(Path()).name]


def find_bad_files_path(workdir: Path) -> Path:
    """Returns the file that lists the images which this process could not read."""
    index = jax.process_index()
    return workdir / (f"bad_files.{index}.txt" if index else "bad_files.txt")
