"""An objective of a caller's own: trained, resumed, evaluated, on any mesh."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from tests.objectives.turns import make_turns
from tests.runs import TINY, change, program_on
from tests.training.test_train import lines_of, params_of
from vit_jax.checkpoints.card import read_card
from vit_jax.config import Config, MeshConfig
from vit_jax.config.choices import OBJECTIVES, Choice
from vit_jax.errors import ConfigError
from vit_jax.infer.evaluate import run_evaluation
from vit_jax.mesh.sharding import make_mesh, shard_abstract, shard_batch
from vit_jax.plan.search import search_plans
from vit_jax.training.axes import find_objective_axes, find_state_axes
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.functions import make_objective
from vit_jax.training.loop import train
from vit_jax.training.resolve import resolve_config
from vit_jax.training.restore import restore_parts

TURNS = make_turns
SMALL = change(
    TINY,
    model={"num_layers": 1, "mlp_dim": 16},
    data={"flip": False, "color_jitter": 0.2, "eval_split": "test[:50]"},
    optim={"learning_rate": 0.05},
    train={"total_steps": 6, "eval_every_steps": 3, "log_every_steps": 1,
           "save_every_steps": 100, "accum_steps": 2},
)  # fmt: skip


class Stop(Exception):
    """What a callback ends a run with."""


def stop_at(step: int):
    def callback(kind, at, values):
        if at == step:
            raise Stop

    return callback


def parts_of(workdir) -> dict:
    """Returns what a run trained and kept beside the model."""
    config = resolve_config(change(SMALL, objective={"name": "make_turns"}))
    objective = make_objective(config, 10)
    axes = find_state_axes(config.model, objective)
    model = params_of(workdir)
    own, kept = jax.eval_shape(lambda: objective.init(model, jax.random.key(0)))
    mesh = make_mesh(MeshConfig())
    abstract = shard_abstract({"own": own, "kept": kept}, axes, mesh)
    return jax.device_get(restore_parts(workdir, abstract, axes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a run on a mesh of 2 x 2 x 2, and its result."""
    workdir = tmp_path_factory.mktemp("turns")
    return workdir, train(CUBE, workdir, objective=make_turns)


CUBE = change(SMALL, mesh={"data": 2, "fsdp": 2, "tensor": 2})


def test_it_is_trained_evaluated_and_described(whole, capsys):
    workdir, result = whole
    train_lines = [line for line in lines_of(workdir) if line["kind"] == "train"]
    assert [line["step"] for line in train_lines] == [1, 2, 3, 4, 5, 6]
    assert train_lines[-1]["loss"] < train_lines[0]["loss"]
    assert all(np.isfinite(line["agreement"]) for line in train_lines)
    assert result.metrics["count"] == 50
    assert 0 < result.metrics["most"] <= 1
    assert result.summary == f"turned right {result.metrics['right']:.1%}"
    card = read_card(workdir)
    assert card is not None
    assert card["config"]["objective"] == {"name": "make_turns"}
    assert (card["num_classes"], card["class_names"]) == (4, None)
    assert params_of(workdir)["head"]["kernel"].shape == (16, 4)


def test_what_it_keeps_follows_what_is_trained(whole):
    workdir, _ = whole
    parts, params = parts_of(workdir), params_of(workdir)
    kept = parts["kept"]["copy"]
    chex.assert_trees_all_equal_shapes_and_dtypes(kept, params)
    distance = np.abs(kept["head"]["kernel"] - params["head"]["kernel"]).max()
    assert 0 < distance < np.abs(params["head"]["kernel"]).max()
    assert np.abs(parts["kept"]["centre"]).max() > 0
    assert np.abs(parts["own"]["bias"]).max() > 0.01  # it was trained


def test_it_is_planned_on_any_mesh(monkeypatch):
    monkeypatch.setitem(OBJECTIVES._rows, "planned", Choice(make_turns, ""))
    config = change(SMALL, objective={"name": "planned"})
    plans = search_plans(
        config, chip="A100", num_devices=8, num_classes=10, micro_batches=(1,),
        remat=("none",),
    )  # fmt: skip
    assert len(plans) > 1
    assert {plan.run["num_classes"] for plan in plans} == {4}


def test_an_array_without_a_row_of_axes_is_refused(tmp_path):
    def make_careless(config, num_classes):
        return dataclasses.replace(make_turns(config, num_classes), axes=())

    with pytest.raises(
        ConfigError, match=r'row for its kept/centre, .*\("centre", \(None'
    ):
        train(SMALL, tmp_path, objective=make_careless)


def test_it_resumes_bit_identical_after_a_stop(whole, tmp_path):
    with pytest.raises(Stop):
        train(CUBE, tmp_path, objective=make_turns, callbacks=[stop_at(4)])
    card = read_card(tmp_path)
    assert card is not None
    assert card["step"] == 4
    train(CUBE, tmp_path, objective=make_turns)
    assert lines_of(tmp_path) == lines_of(whole[0])
    chex.assert_trees_all_equal(params_of(tmp_path), params_of(whole[0]))
    chex.assert_trees_all_equal(parts_of(tmp_path), parts_of(whole[0]))


def test_an_objective_that_keeps_less_than_it_did_is_refused(whole, monkeypatch):
    """The checkpoint is sound: it is not called damaged."""
    monkeypatch.setattr(OBJECTIVES, "_rows", dict(OBJECTIVES._rows))

    def make_turns(config, num_classes):
        turns = TURNS(config, num_classes)
        return dataclasses.replace(
            turns,
            init=lambda params, key: (turns.init(params, key)[0], None),
            update=lambda learner, seen: None,
        )

    make_turns.__qualname__ = "make_turns"
    with pytest.raises(ConfigError, match=r"keeps something of its own, got one that"):
        train(CUBE, whole[0], objective=make_turns)


def test_a_metric_with_the_name_of_another_is_refused(tmp_path):
    def make_twin(config, num_classes):
        turns = make_turns(config, num_classes)

        def loss(learner, views, keys):
            value, aux = turns.loss(learner, views, keys)
            return value, aux.replace(metrics={"loss": value})

        return dataclasses.replace(turns, loss=loss)

    with pytest.raises(ConfigError, match=r"names of their own, got loss, which"):
        train(SMALL, tmp_path, objective=make_twin)


def test_its_checkpoint_is_evaluated_as_the_run_was(whole):
    workdir, result = whole
    found = run_evaluation(workdir)
    assert found.metrics == pytest.approx(result.metrics)
    assert found.summary == result.summary


def test_a_run_of_another_objective_is_refused(whole):
    with pytest.raises(ConfigError, match=r"(objective\.name|num_classes) is"):
        train(CUBE, whole[0])


def steps_on(config: Config, num_devices: int):
    """Returns program, losses and state after three steps on random images."""
    program, mesh = program_on(config, num_devices, num_classes=10)
    rng = np.random.default_rng(0)
    state, losses = program.init(), []
    for _ in range(3):
        batch = {
            "image": rng.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8),
            "label": rng.integers(0, 10, 32, dtype=np.int32),
        }
        state, metrics = program.train_step(state, shard_batch(batch, mesh))
        losses.append(metrics["loss"].item())
    return program, losses, state


def test_one_device_and_a_cube_agree_and_a_checkpoint_moves(tmp_path):
    """Without dropout, which is drawn per micro-batch; float32, 2e-5 relative."""
    name = {"name": OBJECTIVES.adopt(make_turns)}
    quiet = {"dropout_rate": 0.0, "stochastic_depth_rate": 0.0}
    one = change(SMALL, objective=name, model=quiet, optim={"warmup_steps": 0})
    cube = change(one, mesh={"data": 2, "fsdp": 2, "tensor": 2}, model={"scan": True})
    program, losses, state = steps_on(one, 1)
    _, found_losses, found = steps_on(cube, 8)
    np.testing.assert_allclose(found_losses, losses, rtol=2e-5)
    chex.assert_trees_all_close(
        jax.device_get(found.own), jax.device_get(state.own), rtol=2e-5, atol=1e-7
    )
    for copy, params in zip(
        jax.tree.leaves(found.kept["copy"]), jax.tree.leaves(found.params), strict=True
    ):
        assert copy.sharding.is_equivalent_to(params.sharding, params.ndim)
    config = resolve_config(cube)
    save(config, found, tmp_path)
    checkpoints = Checkpoints(tmp_path)
    axes = find_objective_axes(program.objective)
    restored, _ = checkpoints.restore(program.abstract_state, axes)
    checkpoints.close()
    chex.assert_trees_all_close(
        jax.device_get(restored.kept), jax.device_get(state.kept), rtol=2e-5, atol=1e-6
    )


def save(config: Config, state, workdir) -> None:
    from vit_jax.checkpoints.card import make_card

    checkpoints = Checkpoints(workdir)
    checkpoints.save(state, {}, make_card(config, 4, None))
    checkpoints.close()
