"""A long list of images, processed by hosts that do not wait for each other.

Each host processes its share of the list and writes one file, its part of the output.
Until the part is complete, results are stored in PART.unfinished, one file per chunk,
each complete or absent. A killed command that is repeated resumes after the last finished
chunk, and memory never holds more than one chunk.
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
Share = tuple[int, int]  # (index from 0, number of shares)


class Chunks:
    """The finished chunks, in order; iterating reads the arrays of one at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __iter__(self) -> Iterator[Arrays]:
        for file in self.files:
            with np.load(file) as arrays:
                yield arrays

    def read_column(self, name: str) -> list[str]:
        """Returns an array of strings, concatenated over all chunks."""
        return [str(text) for arrays in self for text in arrays[name]]


@dataclasses.dataclass(frozen=True)
class Part:
    """The part of an output that one host wrote.

    Attributes:
      path: the file that was written.
      num_images: number of images in the file.
      errors: path of each unreadable image -> why it could not be read.
    """

    path: Path
    num_images: int
    errors: dict[str, str]


def find_share(num_shares: int | None = None, index: int | None = None) -> Share:
    """Returns (index, number) of the share of the work that this process does.

    The arguments decide where given; otherwise the numbering of SLURM or Open MPI, in
    which case each process gets one GPU; otherwise that of the devices (a Cloud TPU
    slice); otherwise the process does all the work. Processes never communicate.

    Args:
      num_shares: number of processes; None: detected.
      index: which of them this process is, from 0; None: detected.

    Raises:
      ConfigError: only one of the two is given, or the index is out of range.
    """
    if (num_shares, index) != (None, None):
        if num_shares is None or index is None or not 0 <= index < num_shares:
            raise ConfigError(
                "--num_processes N and --process_id I (0 to N - 1) must both be given, "
                f"got {num_shares} and {index}; set both, or neither"
            )
        return index, num_shares
    for which, of, local in _CLUSTERS:
        if which in os.environ and of in os.environ:
            for platform in ("cuda", "rocm"):
                name = f"jax_{platform}_visible_devices"
                jax.config.update(name, os.environ.get(local, "all"))
            return int(os.environ[which]), int(os.environ[of])
    return jax.process_index(), jax.process_count()


# A SLURM job step, and Open MPI: index of the process, number of processes, index of the
# process on its host.
_CLUSTERS = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
)


def find_part_path(output: Path, share: Share) -> Path:
    """Returns the path of a part: OUTPUT itself if there is only one share."""
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

    If there are several parts, a part that exists already is kept.

    Args:
      paths: all images, the same list on every host.
      output: the whole output; `find_part_path` names the part.
      made_of: everything that the results depend on, as JSON values.
      work: computes the arrays of one chunk of images; see `collect_arrays`.
      write: writes all chunks to a file.
      share: (index, count) of this host's share of the list.

    Raises:
      ConfigError: the output cannot be written, or its path has the results of another
        command, finished or unfinished.
    """
    index, count = share
    mine = paths[len(paths) * index // count : len(paths) * (index + 1) // count]
    digest = hashlib.sha256(os.fsencode("\n".join(mine))).hexdigest()
    record = json.loads(json.dumps({**made_of, "images": len(mine), "paths": digest}))
    part = find_part_path(output, share)
    try:
        done = _read(_find_record(part)) if count > 1 and part.exists() else None
        if done is not None and done["made_of"] != record:
            raise ConfigError(
                f"{part} must come from this command, got the output of another "
                "(checkpoint, options or images differ); remove it, or choose another "
                "--output"
            )
        if done is None:
            folder = part.with_name(f"{part.name}.unfinished")
            chunks = _fill_chunks(folder, mine, record, work)
            write(_name_unfinished(part), chunks)
            os.replace(_name_unfinished(part), part)
            bad, why = chunks.read_column("unreadable"), chunks.read_column("errors")
            done = {"made_of": record, "errors": dict(zip(bad, why, strict=True))}
            if count > 1:  # a single part is written again when the command is repeated
                _write_json(_find_record(part), done)
            shutil.rmtree(folder)
    except OSError as error:
        raise ConfigError(
            f"output {part} cannot be written to: {error.strerror}; choose another file"
        ) from error
    errors = done["errors"]
    return Part(part, len(mine) - len(errors), errors)


def _fill_chunks(
    folder: Path,
    paths: Sequence[str],
    record: dict[str, Any],
    work: Callable[[Sequence[str]], Arrays],
) -> Chunks:
    """Computes the chunks that do not exist yet; returns all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder / "made_of.json")
    if known is None:
        _write_json(folder / "made_of.json", record)
    elif known != record:
        raise ConfigError(
            f"{folder} must come from this command, got unfinished work of another "
            "command (checkpoint, options or images differ); remove it, or choose "
            "another --output"
        )
    starts = range(0, len(paths), CHUNK_SIZE)
    files = {start: folder / f"{start:09}.npz" for start in starts}
    missing = [start for start in starts if not files[start].exists()]
    for start in tqdm(missing, unit=f" x {CHUNK_SIZE} images", disable=None):
        arrays = work(paths[start : start + CHUNK_SIZE])
        with _name_unfinished(files[start]).open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        os.replace(_name_unfinished(files[start]), files[start])
    return Chunks(list(files.values()))


def collect_arrays(
    outcomes: Iterable[Outcome], columns: Callable[[list[Any]], Arrays]
) -> dict[str, np.ndarray]:
    """Collects outcomes into the arrays of a chunk.

    Args:
      outcomes: of `image_files.map_files`.
      columns: makes named arrays, one row per image, from the values.

    Returns:
      ``paths`` of the readable images, the arrays that ``columns`` returns, and
      ``unreadable`` and ``errors``: paths and reasons of the others.
    """
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


def _find_record(part: Path) -> Path:
    """Returns the path of the hidden file beside a part that records its command."""
    return part.with_name(f".{part.name}.json")


def _name_unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def _write_json(path: Path, value: Any) -> None:
    _name_unfinished(path).write_text(json.dumps(value))
    os.replace(_name_unfinished(path), path)
