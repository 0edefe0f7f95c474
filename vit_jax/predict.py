"""From image files to class names and probabilities; needs only a checkpoint."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from vit_jax.checkpoint import load_trained
from vit_jax.config import ConfigError, MeshConfig
from vit_jax.data import augment, crops
from vit_jax.data.decode import decode
from vit_jax.sharding import batch_sharding, make_mesh, replicated
from vit_jax.step import apply_model

# What a folder is searched for; a file named outright is read whatever its name.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image, best first, or why there are none."""

    path: str
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


class Predictor:
    """A trained model applied to image files, with the checkpoint's preprocessing.

    Args:
      checkpoint: a workdir, or one of its checkpoints.
      batch_size: images that are classified at once.

    Raises:
      ConfigError: there is no checkpoint.

    Example:
      >>> predictor = Predictor("runs/digits")
      >>> predictor.predict(["seven.png"])[0].names
    """

    def __init__(self, checkpoint: str | Path, batch_size: int = 32):
        mesh = make_mesh(MeshConfig())
        self.trained = load_trained(checkpoint, mesh)
        self._batch_size = -(-batch_size // mesh.size) * mesh.size
        self._rows = batch_sharding(mesh)
        prepare = functools.partial(
            augment.prepare, data=self.trained.preprocessing, train=False
        )
        sigmoid = self.trained.config.train.loss == "sigmoid"

        def probabilities(params, images):
            inputs = prepare(images, None)
            logits = apply_model(self.trained.model, params, inputs, train=False)
            return jax.nn.sigmoid(logits) if sigmoid else jax.nn.softmax(logits)

        self._probabilities = jax.jit(probabilities, out_shardings=replicated(mesh))

    def predict(self, paths: Iterable[str | Path], top_k: int = 5) -> list[Prediction]:
        """Returns a prediction for each path, in order.

        A file that cannot be read has its ``error`` set; the others are predicted.

        Args:
          paths: of image files.
          top_k: how many classes to name; at most all are.
        """
        predictions: list[Prediction] = []
        for batch in _chunks(paths, self._batch_size):
            images, errors = self._read(batch)
            images = jax.device_put(images, self._rows)
            scores = jax.device_get(self._probabilities(self.trained.params, images))
            for path, error, row in zip(batch, errors, scores, strict=False):
                if error:
                    predictions.append(Prediction(str(path), error=error))
                else:
                    predictions.append(self._name(str(path), row, top_k))
        return predictions

    def _read(self, paths: Sequence[str | Path]) -> tuple[np.ndarray, list[str | None]]:
        """Returns uint8 [batch_size, h, w, 3], blank where there is no image."""
        size = self.trained.preprocessing.image_size
        images = np.zeros((self._batch_size, *size, 3), np.uint8)
        errors: list[str | None] = []
        for i, path in enumerate(paths):
            try:
                image = decode(Path(path).read_bytes(), name=str(path))
                images[i] = crops.crop_eval(image, self.trained.preprocessing)
                errors.append(None)
            except ConfigError as error:
                errors.append(str(error))
            except OSError as error:
                errors.append(f"cannot read {path}: {error.strerror}")
        return images, errors

    def _name(self, path: str, scores: np.ndarray, top_k: int) -> Prediction:
        best = np.argsort(-scores, kind="stable")[:top_k]
        names = self.trained.class_names
        return Prediction(
            path=path,
            labels=tuple(int(i) for i in best),
            names=tuple(names[i] if names else str(i) for i in best),
            probabilities=tuple(float(scores[i]) for i in best),
        )


def find_images(arguments: Iterable[str]) -> list[str]:
    """Returns the files that files, folders (searched through) and globs name.

    Raises:
      ConfigError: a folder or glob without images, or nothing at all.
    """
    found: list[str] = []
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            files = sorted(
                p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES
            )
            if not files:
                raise ConfigError(
                    f"{argument} must hold images ({' '.join(IMAGE_SUFFIXES)}), found "
                    "none; name the files or another folder"
                )
        elif any(c in argument for c in "*?[") and not path.exists():
            root = Path(path.anchor)
            pattern = str(path.relative_to(root) if path.anchor else path)
            files = sorted(root.glob(pattern))
            if not files:
                raise ConfigError(f"{argument} matches no file; check the pattern")
        else:
            files = [path]  # whether it can be read is told beside the others' results
        found.extend(str(file) for file in files)
    return found


def _chunks(paths: Iterable[str | Path], size: int) -> Iterator[list[str | Path]]:
    chunk: list[str | Path] = []
    for path in paths:
        chunk.append(path)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
