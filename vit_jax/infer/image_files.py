"""Image files as a user names them, and a function of images applied to each."""

import concurrent.futures
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vit_jax.checkpoints.loaded import Loaded
from vit_jax.config import Preprocessing
from vit_jax.data.images import crops
from vit_jax.data.images.decode import decode
from vit_jax.data.loader import count_cpus
from vit_jax.data.sources.folders import SUFFIXES
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_batch_sharding
from vit_jax.storage import files


class Outcome(NamedTuple):
    """What became of one file: arrays of that image, or the error that it ended in."""

    path: str
    value: Any
    error: str | None = None


def find_images(arguments: Iterable[str]) -> list[str]:
    """Returns the files that files, folders (searched but for hidden ones) and globs name.

    Raises:
      ConfigError: a folder or glob without images, or nothing at all.
    """
    found: list[str] = []
    for argument in arguments:
        if not argument:  # an unset variable of a script; Path makes this folder of it
            raise ConfigError('an image must be a file, folder or glob, got ""')
        path = Path(os.path.expanduser(argument))
        if path.is_dir():
            below = (path / name for name in files.walk_files(str(path)))
            here = sorted(p for p in below if p.suffix.lower() in SUFFIXES)
            here = [p for p in here if p.is_file()]
            if not here:
                raise ConfigError(
                    f"{argument} must hold images ({' '.join(SUFFIXES)}), found "
                    "none; name the files or another folder"
                )
        elif any(c in argument for c in "*?[") and not path.exists():
            root = Path(path.anchor)
            pattern = str(path.relative_to(root) if path.anchor else path)
            try:
                here = sorted(p for p in root.glob(pattern) if p.is_file())
            except ValueError as error:
                raise ConfigError(f"{argument} is no pattern: {error}") from error
            if not here:
                raise ConfigError(f"{argument} matches no file; check the pattern")
        else:
            here = [path]  # whether it can be read is told beside the others' results
        found.extend(str(file) for file in here)
    return found


def read_image(path: str | Path, preprocessing: Preprocessing) -> np.ndarray:
    """Returns the file as the model's preprocessing cuts it: uint8 [h, w, 3].

    Raises:
      ConfigError: it cannot be read, or is no image.
    """
    try:
        return crops.crop_eval(
            decode(Path(path).read_bytes(), name=str(path)), preprocessing
        )
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def map_files(
    function: Callable[[Any], Any],
    loaded: Loaded,
    paths: Iterable[str | Path],
    batch_size: int = 32,
) -> Iterator[Outcome]:
    """Yields what a function makes of each file, in order; a bad one stops no other.

    Args:
      function: uint8 [b, h, w, 3] -> arrays [b, ...]; see `load.make_function`.
      loaded: gives the size of the images, and the devices.
      paths: of image files.
      batch_size: images at once; rounded up to a multiple of the devices.
    """
    batch_size = -(-batch_size // loaded.mesh.size) * loaded.mesh.size
    rows = make_batch_sharding(loaded.mesh)
    size = loaded.preprocessing.image_size
    remaining = iter(paths)
    computed: Iterator[Outcome] = iter(())
    with concurrent.futures.ThreadPoolExecutor(count_cpus()) as threads:
        while batch := list(itertools.islice(remaining, batch_size)):
            # Blank where there is no image: every batch has one shape, compiled once.
            images = np.zeros((batch_size, *size, 3), np.uint8)
            put = functools.partial(_put, preprocessing=loaded.preprocessing)
            errors = list(threads.map(put, batch, images))
            values = function(jax.device_put(images, rows))
            yield from computed  # of the batch before: one is read while one is computed
            computed = _outcomes(batch, errors, values)
    yield from computed


def _put(path: str | Path, out: np.ndarray, preprocessing: Preprocessing) -> str | None:
    """Writes an image into ``out``; returns why it cannot."""
    try:
        out[...] = read_image(path, preprocessing)
    except ConfigError as error:
        return str(error)
    return None


def _outcomes(
    batch: Sequence[str | Path], errors: Sequence[str | None], values: Any
) -> Iterator[Outcome]:
    values = jax.device_get(values)
    for i, (path, error) in enumerate(zip(batch, errors, strict=True)):
        value = None if error else jax.tree.map(lambda x, i=i: x[i], values)
        yield Outcome(str(path), value, error)
