"""A step is traced once: a silent recompilation would fail here."""

import chex

from tests.runs import TINY, change
from vit_jax.training import functions
from vit_jax.training.loop import train


def test_training_and_evaluation_are_traced_once(tmp_path, monkeypatch):
    chex.clear_trace_counter()
    for name in ("make_train_step", "make_eval_step"):
        make = getattr(functions, name)
        monkeypatch.setattr(
            functions,
            name,
            lambda *args, make=make: chex.assert_max_traces(make(*args), n=1),
        )
    # Two evaluations, of which the last batch is padded, and two saves.
    result = train(change(TINY, data={"eval_split": "test[:40]"}), tmp_path)
    assert result.metrics["count"] == 40
