"""An evaluation over a whole split: padded, masked batches, each example once."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import shard_batch
from vit_jax.objectives.objective import compute_means


def evaluate_batches(
    eval_step: Callable[[Any, Any], Any],
    state: Any,
    batches: Iterable[Any],
    mesh: Mesh,
    finish: Callable[..., dict[str, float]] = compute_means,
) -> dict[str, float]:
    """Returns what ``finish`` makes of the values of all batches.

    Args:
      eval_step: ``(state, batch) -> values``; see `objective.Objective.evaluate`.
      state: what is evaluated.
      batches: of this host.
      mesh: that they are put on.
      finish: ``(sums, rows) -> metrics``. Rows are held in memory until then.

    Raises:
      ConfigError: no image could be read.
    """
    sums: dict[str, float] = {}
    rows: dict[str, list[np.ndarray]] = {}
    results = (eval_step(state, shard_batch(batch, mesh)) for batch in batches)
    for values in _fetch(results):
        mask = values.pop("mask", None)
        for name, value in values.items():
            if np.ndim(value):
                assert mask is not None, f"{name} has rows, but there is no mask"
                rows.setdefault(name, []).append(value[mask])
            else:
                # Python floats are double: 10,000 losses add up without rounding away.
                sums[name] = sums.get(name, 0) + value.item()
    if not sums.get("count"):
        raise ConfigError(
            "the evaluation split must have a readable image, got none; look at "
            "bad_files.txt in the workdir"
        )
    return finish(sums, {name: np.concatenate(parts) for name, parts in rows.items()})


def _fetch(results: Iterable[Any]) -> Iterator[Any]:
    """Yields each result once the next is on its way, so that no device waits for us."""
    before = None
    for result in results:
        if before is not None:
            yield jax.device_get(before)
        before = result
    if before is not None:
        yield jax.device_get(before)
