"""Exact metrics over a whole split: padded, masked batches, each example once."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vit_jax.checkpoint import Trained, load_trained
from vit_jax.config import ConfigError, MeshConfig
from vit_jax.data import augment, loader, sources
from vit_jax.sharding import check_batch_size, make_mesh, to_mesh
from vit_jax.step import make_eval_step


def evaluate_batches(
    eval_step: Callable[[Any, Any], Any],
    params: Any,
    batches: Iterable[Any],
    mesh: Mesh,
) -> dict[str, float]:
    """Returns means over all examples: ``loss``, ``top1``, ``top5``, and ``count``."""
    sums: dict[str, float] = {}
    for batch in batches:
        for name, value in jax.device_get(
            eval_step(params, to_mesh(batch, mesh))
        ).items():
            # Python floats are double: 10,000 losses add up without rounding away.
            sums[name] = sums.get(name, 0) + value.item()
    count = int(sums.pop("count"))
    return {**{name: value / count for name, value in sums.items()}, "count": count}


def evaluate(
    workdir: str | Path, split: str | None = None, source: str | None = None
) -> dict[str, float]:
    """Evaluates the newest checkpoint of a workdir, with its own preprocessing.

    Args:
      workdir: of a run, or one of its checkpoints.
      split: a split string; None: the run's ``eval_split``.
      source: other data than the run's, with the same classes.

    Returns:
      ``top1`` and ``top5`` in [0, 1], ``loss`` in nats, ``count`` of images.

    Raises:
      ConfigError: no checkpoint, no such split, or other classes.

    Example:
      >>> evaluate("runs/digits")["top1"]
    """
    mesh = make_mesh(MeshConfig())
    trained = load_trained(workdir, mesh)
    data = trained.config.data
    if source:
        data = dataclasses.replace(data, source=source)
    chosen = sources.make_source(data, split or data.eval_split)
    check_classes(trained, chosen)
    check_batch_size(data.eval_batch_size or data.batch_size, mesh, "eval_batch_size")
    prepare = functools.partial(augment.prepare, data=data)
    loss = trained.config.train.loss
    eval_step = make_eval_step(trained.model, prepare, loss, trained.num_classes)
    batches = loader.eval_batches(
        chosen,
        data,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    return evaluate_batches(jax.jit(eval_step), trained.params, batches, mesh)


def check_classes(trained: Trained, source: sources.Source) -> None:
    """Raises ConfigError unless the data has the classes of the model, in order."""
    names, here = trained.class_names, source.class_names
    if source.num_classes != trained.num_classes or (names and here and names != here):
        raise ConfigError(
            f"the data must have the model's {trained.num_classes} classes "
            f"({_few(names)}), got {source.num_classes} ({_few(here)}); give the data "
            "that the model was trained for"
        )


def _few(names: tuple[str, ...] | None) -> str:
    if not names:
        return "without names"
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
