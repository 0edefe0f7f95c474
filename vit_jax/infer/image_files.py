"""Finding the image files that a user names, and applying a function to each."""

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
    """The result for one image file.

    Attributes:
      path: the file.
      value: what the function returned for this image, without the batch dimension;
        None if the file could not be read.
      error: why the file could not be read; None if it could.
    """

    path: str
    value: Any
    error: str | None = None


def find_images(arguments: Iterable[str]) -> list[str]:
    """Returns the image files that paths, folders and globs name.

    Folders are searched recursively, hidden files and folders excepted. A path that does
    not exist is returned too: reading it reports the error.

    Raises:
      ConfigError: an argument is empty, or a folder or glob contains no images.
    """
    found: list[str] = []
    for argument in arguments:
        if (
            not argument
        ):  # an unset shell variable; Path("") would be the current folder
            raise ConfigError(
                'an image must be a file, folder or glob, got ""; check the variables of '
                "the command"
            )
        path = Path(os.path.expanduser(argument))
        if path.is_dir():
            below = (path / name for name in files.walk_files(str(path)))
            here = sorted(p for p in below if p.suffix.lower() in SUFFIXES)
            here = [p for p in here if p.is_file()]
            if not here:
                raise ConfigError(
                    f"{argument} must contain images ({' '.join(SUFFIXES)}), found "
                    "none; name the files or another folder"
                )
        elif any(c in argument for c in "*?[") and not path.exists():
            root = Path(path.anchor)
            pattern = str(path.relative_to(root) if path.anchor else path)
            try:
                here = sorted(p for p in root.glob(pattern) if p.is_file())
            except ValueError as error:
                raise ConfigError(
                    f"{argument} must be a file, folder or glob, got an invalid glob "
                    f"({error}); fix the pattern"
                ) from error
            if not here:
                raise ConfigError(
                    f"{argument} must match at least one file, found none; check the "
                    "pattern"
                )
        else:
            here = [path]  # if it cannot be read, that is reported with the results
        found.extend(str(file) for file in here)
    return found


def read_image(path: str | Path, preprocessing: Preprocessing) -> np.ndarray:
    """Returns an image, resized and cropped for the model: uint8 [h, w, 3].

    Raises:
      ConfigError: the file cannot be read, or is not an image.
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
    """Applies a function to image files; yields an outcome per file, in order.

    A file that cannot be read yields its error and does not stop the others.

    Args:
      function: uint8 [b, h, w, 3] -> arrays [b, ...]; see `load.make_function`.
      loaded: the model; it sets the size of the images and the devices.
      paths: image files.
      batch_size: images per batch; rounded up to a multiple of the number of devices.
    """
    batch_size = -(-batch_size // loaded.mesh.size) * loaded.mesh.size
    rows = make_batch_sharding(loaded.mesh)
    size = loaded.preprocessing.image_size
    remaining = iter(paths)
    computed: Iterator[Outcome] = iter(())
    with concurrent.futures.ThreadPoolExecutor(count_cpus()) as threads:
        while batch := list(itertools.islice(remaining, batch_size)):
            # Padded with blank images: all batches have one shape, compiled once.
            images = np.zeros((batch_size, *size, 3), np.uint8)
            put = functools.partial(_read_into, preprocessing=loaded.preprocessing)
            errors = list(threads.map(put, batch, images))
            values = function(jax.device_put(images, rows))
            yield from computed  # the previous batch: reading overlaps with computing
            computed = _make_outcomes(batch, errors, values)
    yield from computed


def _read_into(
    path: str | Path, out: np.ndarray, preprocessing: Preprocessing
) -> str | None:
    """Writes an image into ``out``; returns the error if it cannot be read."""
    try:
        out[...] = read_image(path, preprocessing)
    except ConfigError as error:
        return str(error)
    return None


def _make_outcomes(
    batch: Sequence[str | Path], errors: Sequence[str | None], values: Any
) -> Iterator[Outcome]:
    values = jax.device_get(values)
    for i, (path, error) in enumerate(zip(batch, errors, strict=True)):
        value = None if error else jax.tree.map(lambda x, i=i: x[i], values)
        yield Outcome(str(path), value, error)
