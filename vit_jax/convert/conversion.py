"""One file into another format, and the proof that nothing was lost."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

import jax
import numpy as np

from vit_jax import models
from vit_jax.config import ConfigError
from vit_jax.convert import peers, trees
from vit_jax.convert.files import read, write
from vit_jax.convert.record import Checkpoint

_SUFFIXES = {".npz": "google_prelinen", ".safetensors": "timm"}
_DEFAULT_SIZE = (224, 224)


def convert_file(
    src: str | Path,
    dst: str | Path,
    to: str | None = None,
    check: bool = False,
    drop: Collection[str] = (),
    checkpoint: Checkpoint | None = None,
) -> list[str]:
    """Converts a checkpoint.

    Args:
        src: a file, a folder, or a workdir of ours, in any format.
        dst: a .npz or .safetensors file; for timm and huggingface also a folder, which
            gets the config files too.
        to: one of `limits.FORMATS`. None: by the name of ``dst``: .npz is the
            original's format with its released names, .safetensors timm's, a folder
            huggingface.
        check: runs random images through both, and through the library that the new
            file is for where it is installed; the report has the largest differences.
        drop: what to leave out; see `limits.DROPPABLE`.
        checkpoint: in place of reading ``src``, for weights by name.

    Returns:
        A report, line by line.

    Raises:
        ConfigError: ``src`` cannot be read, ``dst`` cannot be written, or the format
            cannot hold the model.
    """
    source = read(src) if checkpoint is None else checkpoint
    file_format = to or _SUFFIXES.get(Path(dst).suffix, "huggingface")
    files = write(
        dst,
        file_format,
        source.tensors,
        source.model,
        source.num_classes,
        preprocessing=source.preprocessing,
        class_names=source.class_names,
        drop=drop,
    )
    lines = [f"{src}: {describe(source)}", *(f"note: {n}" for n in source.notes)]
    lines += [f"wrote {file} ({file.stat().st_size:,} bytes)" for file in files]
    if drop:
        lines.append(f"left out: {', '.join(drop)}")
    if check:
        lines += _check(source, Path(dst), file_format, drop)
    return lines


def describe(checkpoint: Checkpoint) -> str:
    """Returns what a checkpoint is, in one line."""
    model = checkpoint.model
    size = sum(tensor.size for tensor in checkpoint.tensors.values())
    name = model.variant or f"a {model.family} of width {model.hidden_size}"
    classes = checkpoint.num_classes
    head = "no head" if classes is None else f"{classes} classes"
    return f"{checkpoint.format}, {name}, {head}, {size:,} parameters"


def forward(checkpoint: Checkpoint, images: np.ndarray) -> np.ndarray:
    """Returns the logits (features, where there is no head) of images [b h w c]."""
    model = models.build(checkpoint.model, checkpoint.num_classes)
    flat = {k: np.asarray(t, np.float32) for k, t in checkpoint.tensors.items()}
    params = trees.nested(flat)
    with jax.default_matmul_precision("highest"):
        apply = jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))
        return np.asarray(apply(params, images))


def _check(
    source: Checkpoint, dst: Path, file_format: str, drop: Collection[str]
) -> list[str]:
    """Returns the lines of the report about the logits."""
    preprocessing = source.preprocessing
    size = preprocessing.image_size if preprocessing else _DEFAULT_SIZE
    images = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    given = {name: getattr(source.model, name) for name in _NOT_IN_NPZ}
    written = read(dst, **given) if dst.suffix == ".npz" and not drop else read(dst)
    again = forward(written, images)
    lines = []
    if not drop:
        lines.append(_compare("the file read back", again, forward(source, images)))
    model = dataclasses.replace(written.model, variant=None)
    theirs = peers.run(dst, file_format, model, written.num_classes, images)
    if theirs is None:
        return [*lines, "check: no other library for this file is installed"]
    name, output = theirs
    return [*lines, _compare(name, output, again)]


_NOT_IN_NPZ = ("classifier",)


def _compare(name: str, got: np.ndarray, expected: np.ndarray) -> str:
    if got.shape != expected.shape:
        raise ConfigError(
            f"{name} must give an output of shape {expected.shape}, got {got.shape}; "
            "do not use this file"
        )
    difference = float(np.abs(got - expected).max())
    return f"check: {name}: largest difference {difference:.1e} of the outputs"
