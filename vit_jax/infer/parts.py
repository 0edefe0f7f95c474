"""A long list of images, worked off by hosts that do not wait for each other.

Each host has a share of the list and writes one file, its part of the output. Until it
is whole, its results lie in PART.unfinished, chunk by chunk, each complete or absent: a
killed command, repeated, goes on after them, and memory holds one chunk.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from vit_jax.errors import ConfigError
from vit_jax.infer.image_files import Outcome

CHUNK_SIZE = 256  # images

Arrays = Mapping[str, np.ndarray]
Share = tuple[int, int]  # which, from 0, and of how many


class Chunks:
    """The arrays of each chunk, in order, read one at a time whenever iterated."""

    def __init__(self, files: Sequence[Path]):
        self.files = files

    def __iter__(self) -> Iterator[Arrays]:
        for file in self.files:
            with np.load(file) as arrays:
                yield arrays

    def column(self, name: str) -> list[str]:
        """Returns one array of strings, of all chunks."""
        return [str(text) for arrays in self for text in arrays[name]]


@dataclasses.dataclass(frozen=True)
class Part:
    """What became of a host's share.

    Attributes:
      path: of the file.
      num_images: in it.
      errors: path of an image -> why it could not be read.
    """

    path: Path
    num_images: int
    errors: dict[str, str]


def find_share(num_shares: int | None = None, index: int | None = None) -> Share:
    """Returns which share of the work is this process's, and of how many.

    As given; else as SLURM or Open MPI number the processes, which get one GPU each
    then; else as the devices do (a Cloud TPU slice); else all of it. The processes do
    not meet.

    Raises:
      ConfigError: one is given without the other, or they do not fit each other.
    """
    if (num_shares, index) != (None, None):
        if num_shares is None or index is None or not 0 <= index < num_shares:
            raise ConfigError(
                "--num_processes N and --process_id I (0 to N - 1) must both be given, "
                f"and fit each other, got {num_shares} and {index}"
            )
        return index, num_shares
    for which, of, local in _CLUSTERS:
        if which in os.environ and of in os.environ:
            for platform in ("cuda", "rocm"):
                name = f"jax_{platform}_visible_devices"
                jax.config.update(name, os.environ.get(local, "all"))
            return int(os.environ[which]), int(os.environ[of])
    return jax.process_index(), jax.process_count()


# Inside a step of SLURM, and under Open MPI: of the process, of all, within the host.
_CLUSTERS = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
)


def find_part_path(output: Path, share: Share) -> Path:
    """Returns the path of a part: OUTPUT itself where there is one only."""
    index, count = share
    if count == 1:
        return output
    return output.with_name(f"{output.stem}-{index:05}-of-{count:05}{output.suffix}")


def write_part(
    paths: Sequence[str],
    output: Path,
    *,
    made_of: Mapping[str, Any],
    work: Callable[[Sequence[str]], Arrays],
    write: Callable[[Path, Chunks], None],
    share: Share = (0, 1),
) -> Part:
    """Writes this host's part of an output.

    A part of several that is there already is left as it is.

    Args:
      paths: of all images, the same on every host.
      output: a file; see `find_part_path`.
      made_of: what the results depend on, as JSON holds it.
      work: makes the arrays of some images; see `collect_arrays`.
      write: writes a file of all chunks.
      share: of the list that is this host's.

    Raises:
      ConfigError: the output cannot be written, or there is unfinished work of another
        command in its place.
    """
    index, count = share
    mine = paths[len(paths) * index // count : len(paths) * (index + 1) // count]
    digest = hashlib.sha256(os.fsencode("\n".join(mine))).hexdigest()
    record = json.loads(json.dumps({**made_of, "images": len(mine), "paths": digest}))
    part = find_part_path(output, share)
    try:
        done = _read(_record_of(part)) if count > 1 and part.exists() else None
        if done is not None and done["made_of"] != record:
            raise ConfigError(
                f"{part} is of another command (checkpoint, options or images differ); "
                "remove it, or name another --output"
            )
        if done is None:
            folder = part.with_name(f"{part.name}.unfinished")
            chunks = _fill(folder, mine, record, work)
            write(_unfinished(part), chunks)
            os.replace(_unfinished(part), part)
            bad, why = chunks.column("unreadable"), chunks.column("errors")
            done = {"made_of": record, "errors": dict(zip(bad, why, strict=True))}
            if count > 1:  # alone, a repeated command makes its output anew
                _write_json(_record_of(part), done)
            shutil.rmtree(folder)
    except OSError as error:
        raise ConfigError(
            f"output {part} cannot be written to: {error.strerror}; name another file"
        ) from error
    errors = done["errors"]
    return Part(part, len(mine) - len(errors), errors)


def _fill(
    folder: Path,
    paths: Sequence[str],
    record: dict[str, Any],
    work: Callable[[Sequence[str]], Arrays],
) -> Chunks:
    """Makes the chunks that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder / "made_of.json")
    if known is None:
        _write_json(folder / "made_of.json", record)
    elif known != record:
        raise ConfigError(
            f"{folder} holds unfinished work of another command (checkpoint, options "
            "or images differ); remove it, or name another --output"
        )
    starts = range(0, len(paths), CHUNK_SIZE)
    files = {start: folder / f"{start:09}.npz" for start in starts}
    missing = [start for start in starts if not files[start].exists()]
    for start in tqdm(missing, unit=f" x {CHUNK_SIZE} images", disable=None):
        arrays = work(paths[start : start + CHUNK_SIZE])
        with _unfinished(files[start]).open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        os.replace(_unfinished(files[start]), files[start])
    return Chunks(list(files.values()))


def collect_arrays(
    outcomes: Iterable[Outcome], columns: Callable[[list[Any]], Arrays]
) -> dict[str, np.ndarray]:
    """Returns ``paths``, the columns of their values, ``unreadable`` and ``errors``."""
    good, values, bad, errors = [], [], [], []
    for outcome in outcomes:
        if outcome.error is None:
            good.append(outcome.path)
            values.append(outcome.value)
        else:
            bad.append(outcome.path)
            errors.append(outcome.error)
    texts = {"paths": good, "unreadable": bad, "errors": errors}
    return {
        **{name: np.array(texts[name], str) for name in texts},
        **columns(values),
    }


def _record_of(part: Path) -> Path:
    """Beside a part of several: what it is made of, hidden from a glob."""
    return part.with_name(f".{part.name}.json")


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def _write_json(path: Path, value: Any) -> None:
    _unfinished(path).write_text(json.dumps(value))
    os.replace(_unfinished(path), path)
