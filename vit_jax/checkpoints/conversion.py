"""One file into another format, and the proof that nothing was lost."""

from collections.abc import Collection
from pathlib import Path

import jax
import numpy as np

from vit_jax import models
from vit_jax.checkpoints import peers, trees
from vit_jax.checkpoints.open import open_checkpoint
from vit_jax.checkpoints.record import SOFTMAX, Checkpoint
from vit_jax.checkpoints.restrict import DROPPABLE, restrict_to_format
from vit_jax.checkpoints.write import write_checkpoint
from vit_jax.config.choices import FORMATS
from vit_jax.errors import ConfigError

_SUFFIXES = {".npz": "google_prelinen", ".safetensors": "timm"}
_OTHER_FILES = (".npz", ".npy", ".bin", ".pth", ".pt", ".ckpt", ".h5", ".msgpack")
_DEFAULT_SIZE = (224, 224)
_DIFFERENT = 1e-2  # of the largest output: more than any order of sums explains


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
        src: a path or name, as `open_checkpoint` takes it.
        dst: a .npz or .safetensors file; for timm and huggingface also a folder, which
            gets the config files too.
        to: a row of `config.choices.FORMATS`. None: by the name of ``dst``: .npz is the
            original's format with its released names, .safetensors timm's, a folder
            huggingface.
        check: runs random images through both, and through the library that the new
            file is for where it is installed; the report has the largest differences.
        drop: what to leave out; see `restrict.DROPPABLE`.
        checkpoint: in place of opening ``src``.

    Returns:
        A report, line by line.

    Raises:
        ConfigError: ``src`` cannot be read, ``dst`` cannot be written, or the format
            cannot hold the model.
    """
    file_format = to or _SUFFIXES.get(Path(dst).suffix, "huggingface")
    _check_name(Path(dst), file_format)
    source = open_checkpoint(src) if checkpoint is None else checkpoint
    files = write_checkpoint(dst, file_format, source, drop)
    lines = [
        f"{src}: {describe_checkpoint(source)}",
        *(f"note: {n}" for n in source.notes),
    ]
    lines += [f"wrote {file} ({file.stat().st_size:,} bytes)" for file in files]
    lines += _describe_dropped(source, file_format, drop)
    if source.class_names and files[0].suffix == ".npz":
        lines.append("note: a .npz holds no class names; classes will be numbers")
    if source.loss != SOFTMAX and files[0].suffix == ".npz":
        lines.append(
            f"note: a .npz does not say that its head was trained with {source.loss}; "
            f"probabilities will be taken by {SOFTMAX}"
        )
    if check:
        lines += _check(source, Path(dst), file_format, drop)
    return lines


def _describe_dropped(
    source: Checkpoint, file_format: str, drop: Collection[str]
) -> list[str]:
    """Returns what of ``drop`` was left out, and what there was not."""
    model, tensors = source.model, source.tensors
    fitted = restrict_to_format(source, file_format, drop).model
    gone, absent = [], []
    for name in drop:
        names = DROPPABLE[name]
        changed = not names and getattr(model, name) != getattr(fitted, name)
        is_gone = changed or any(tensor.startswith(names) for tensor in tensors)
        (gone if is_gone else absent).append(name)
    lines = [f"left out: {', '.join(gone)}"] if gone else []
    return lines + [f"note: there was no {name} to be left out" for name in absent]


def _check_name(dst: Path, file_format: str) -> None:
    """Raises ConfigError for the name of a file that the format is not."""
    FORMATS.check("--to", file_format)
    suffix = FORMATS.resolve(file_format).suffix
    is_npz = suffix == ".npz"
    if dst.suffix != suffix if is_npz else dst.suffix in _OTHER_FILES:
        kind = ".npz file" if is_npz else f"{suffix} file or a folder"
        raise ConfigError(
            f"the output must be a {kind} for {file_format}, got {dst}; call it "
            f"{dst.with_suffix(suffix)}, or choose --to"
        )


def describe_checkpoint(checkpoint: Checkpoint) -> str:
    """Returns what a checkpoint is, in one line."""
    model = checkpoint.model
    size = sum(tensor.size for tensor in checkpoint.tensors.values())
    name = models.describe_model(model)
    classes = checkpoint.num_classes
    head = "no head" if classes is None else f"{classes} classes"
    return f"{checkpoint.format}, {name}, {head}, {size:,} parameters"


def compute_outputs(checkpoint: Checkpoint, images: np.ndarray) -> np.ndarray:
    """Returns the logits (features, where there is no head) of images [b h w c]."""
    model = models.build_model(checkpoint.model, checkpoint.num_classes)
    flat = {k: np.asarray(t, np.float32) for k, t in checkpoint.tensors.items()}
    params = trees.nest(flat)
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
    written = (
        open_checkpoint(dst, **given)
        if dst.suffix == ".npz" and not drop
        else open_checkpoint(dst)
    )
    again = compute_outputs(written, images)
    lines = []
    if not drop:
        lines.append(
            _compare("the file read back", again, compute_outputs(source, images))
        )
    theirs = peers.run_peer(dst, file_format, written, images)
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
    if not difference <= _DIFFERENT * np.abs(expected).max():
        raise ConfigError(
            f"{name} must give the same output, got a difference of {difference:.1e}; "
            "do not use this file"
        )
    return f"check: {name}: largest difference {difference:.1e} of the outputs"
