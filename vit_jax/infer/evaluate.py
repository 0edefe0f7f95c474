"""Exact metrics of a checkpoint over a whole split."""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from vit_jax.checkpoints.load import Loaded, load
from vit_jax.config import Config, TrainConfig
from vit_jax.data import loader, sources
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import (
    bind_mesh,
    find_batch_share,
    replicate_sharding,
    shard_abstract,
)
from vit_jax.objectives.evaluate import evaluate_batches
from vit_jax.objectives.objective import Objective
from vit_jax.storage.bucket import open_location
from vit_jax.training.axes import find_state_axes
from vit_jax.training.functions import make_objective
from vit_jax.training.learner import make_learner
from vit_jax.training.parameters import make_apply
from vit_jax.training.restore import restore_parts
from vit_jax.training.start import open_constants
from vit_jax.training.state import EvalState, collect_params
from vit_jax.training.step import make_eval_step


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation counted, and that in words."""

    metrics: dict[str, float]
    summary: str


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
      [0, 1] for images with several labels. Of a run with another objective, what that
      counts.

    Raises:
      ConfigError: no checkpoint, no such split, or other classes.

    Example:
      >>> evaluate("runs/digits")["top1"]
    """
    return run_evaluation(checkpoint, split, source).metrics


def run_evaluation(
    checkpoint: str | Path, split: str | None = None, source: str | None = None
) -> Evaluation:
    """Evaluates as `evaluate`; also returns the metrics as the objective describes them."""
    loaded = load(checkpoint)
    mesh, data = loaded.mesh, loaded.data(source)
    chosen = sources.make_source(data, split or data.eval_split)
    config = loaded.run or Config(
        name=loaded.name, data=data, train=TrainConfig(loss=loaded.loss)
    )
    config = dataclasses.replace(config, data=data)
    objective = make_objective(config, chosen.num_classes)
    if objective.outputs == "classes":
        check_classes(loaded, chosen)
        loaded.need_head()
    constants = open_constants(objective, mesh)
    state = EvalState(
        loaded.params,
        *_restore_parts(loaded, objective),
        constants=collect_params(constants),
    )
    eval_step = make_eval_step(
        objective, make_learner(make_apply(loaded.model), constants)
    )
    index, count = find_batch_share(mesh)
    batches = loader.eval_batches(
        chosen, data, process_index=index, process_count=count
    )
    metrics = evaluate_batches(
        jax.jit(bind_mesh(eval_step, mesh), out_shardings=replicate_sharding(mesh)),
        state,
        batches,
        mesh,
        objective.finish,
    )
    return Evaluation(metrics, objective.describe(metrics))


def _restore_parts(loaded: Loaded, objective: Objective) -> tuple[Any, Any]:
    """Returns what the objective trained and kept beside the model's parameters."""
    key = jax.random.key(0)
    own, kept = jax.eval_shape(lambda: objective.init(loaded.params, key))
    abstract = {"own": own, "kept": kept}
    if own is None and kept is None:
        return None, None
    axes = find_state_axes(loaded.config, objective)
    restored = restore_parts(
        open_location(loaded.name), shard_abstract(abstract, axes, loaded.mesh), axes
    )
    return restored["own"], restored["kept"]


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
