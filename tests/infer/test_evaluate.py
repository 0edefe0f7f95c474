"""An evaluation keeps the devices at work."""

from typing import Any

import jax
import numpy as np
import pytest

from vit_jax.config import MeshConfig
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.objectives.evaluate import evaluate_batches


def test_a_split_without_examples_is_refused() -> None:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    with pytest.raises(ConfigError, match="must have a readable image, got none"):
        evaluate_batches(lambda state, batch: {}, None, [], mesh)


def test_a_result_is_fetched_once_the_next_step_is_on_its_way() -> None:
    """Else a device would stand still while the next batch comes to it."""
    events: list[str] = []

    class Result:
        """Looks like an array on a device."""

        def __init__(self, value: int):
            self.value = value

        def __array__(self, *_: Any) -> np.ndarray:
            events.append(f"fetch {self.value}")
            return np.asarray(self.value)

    def step(params: Any, batch: Any) -> dict[str, Any]:
        number = int(batch["x"][0])
        events.append(f"step {number}")
        return {"count": Result(number), "loss": np.float32(3.0 * number)}

    batches = [{"x": np.full(1, i)} for i in (1, 2, 3)]
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    assert evaluate_batches(step, None, batches, mesh) == {"loss": 3.0, "count": 6}
    order = ["step 1", "step 2", "fetch 1", "step 3", "fetch 2", "fetch 3"]
    assert events == order
