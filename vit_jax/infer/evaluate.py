"""Exact metrics over a whole split: padded, masked batches, each example once."""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vit_jax.checkpoints.load import Loaded, load
from vit_jax.data import augment, loader, sources
from vit_jax.errors import ConfigError
from vit_jax.mesh.constraints import bind_mesh
from vit_jax.mesh.sharding import find_batch_share, replicate_sharding, shard_batch
from vit_jax.objectives.average_precision import mean_average_precision
from vit_jax.training.step import make_eval_step


def evaluate_batches(
    eval_step: Callable[[Any, Any], Any],
    params: Any,
    batches: Iterable[Any],
    mesh: Mesh,
) -> dict[str, float]:
    """Returns means over all examples: ``loss``, ``top1``, ``top5``, and ``count``.

    Of images with several labels also ``map``, the mean average precision; until then
    the scores of all of them are held in memory.
    """
    sums: dict[str, float] = {}
    scores, labels = [], []
    results = (eval_step(params, shard_batch(batch, mesh)) for batch in batches)
    for values in _fetched(results):
        if "scores" in values:
            mask = values.pop("mask")
            scores.append(values.pop("scores")[mask])
            labels.append(values.pop("labels")[mask])
        for name, value in values.items():
            # Python floats are double: 10,000 losses add up without rounding away.
            sums[name] = sums.get(name, 0) + value.item()
    count = int(sums.pop("count"))
    if not count:
        raise ConfigError(
            "the evaluation split must have a readable image, got none; look at "
            "bad_files.txt in the workdir"
        )
    means = {name: value / count for name, value in sums.items()}
    if scores:
        means["map"] = mean_average_precision(
            np.concatenate(scores), np.concatenate(labels)
        )
    return {**means, "count": count}


def _fetched(results: Iterable[Any]) -> Iterator[Any]:
    """Yields each result once the next is on its way, so that no device waits for us."""
    before = None
    for result in results:
        if before is not None:
            yield jax.device_get(before)
        before = result
    if before is not None:
        yield jax.device_get(before)


def evaluate(
    checkpoint: str | Path, split: str | None = None, source: str | None = None
) -> dict[str, float]:
    """Evaluates a checkpoint on a whole split, with its own preprocessing.

    Args:
      checkpoint: a workdir, one of its checkpoints, a file of any format, or the name
        of published weights.
      split: a split string; None: the run's ``eval_split``.
      source: other data than the run's, with the same classes; needed where the
        checkpoint is of no run.

    Returns:
      ``top1`` and ``top5`` in [0, 1], ``loss`` in nats, ``count`` of images; ``map`` in
      [0, 1] for images with several labels.

    Raises:
      ConfigError: no checkpoint, no such split, or other classes.

    Example:
      >>> evaluate("runs/digits")["top1"]
    """
    loaded = load(checkpoint)
    mesh, data = loaded.mesh, loaded.data(source)
    chosen = sources.make_source(data, split or data.eval_split)
    check_classes(loaded, chosen)
    prepare = functools.partial(augment.prepare_images, data=data)
    eval_step = make_eval_step(loaded.model, prepare, loaded.loss, loaded.need_head())
    index, count = find_batch_share(mesh)
    batches = loader.eval_batches(
        chosen, data, process_index=index, process_count=count
    )
    return evaluate_batches(
        jax.jit(bind_mesh(eval_step, mesh), out_shardings=replicate_sharding(mesh)),
        loaded.params,
        batches,
        mesh,
    )


def check_classes(loaded: Loaded, source: sources.Source) -> None:
    """Raises ConfigError unless the data has the classes of the model, in order.

    Published weights call their classes by other names than a folder does: there only
    the number must agree.
    """
    names = loaded.class_names if loaded.run else None
    here = source.class_names
    if source.num_classes != loaded.num_classes or (names and here and names != here):
        raise ConfigError(
            f"the data must have the model's {loaded.num_classes} classes "
            f"({_few(loaded.class_names)}), got {source.num_classes} ({_few(here)}); "
            "give the data that the model was trained for"
        )


def _few(names: tuple[str, ...] | None) -> str:
    if not names:
        return "without names"
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
