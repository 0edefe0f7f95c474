"""Checkpoints: the card, restoring on other meshes, and a disk without room."""

import collections
import json
import shutil

import jax
import numpy as np
import pytest

from tests.runs import TINY, change, program_on
from vit_jax.checkpoints.card import check_same_run, make_card, read_card
from vit_jax.checkpoints.load import load
from vit_jax.errors import ConfigError
from vit_jax.training.checkpoint import Checkpoints, _find_os_reason

Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with one checkpoint, made on eight devices, and its state."""
    workdir = tmp_path_factory.mktemp("saved")
    program, _ = program_on(TINY, 8, num_classes=10)
    state = program.init()
    checkpoints = Checkpoints(workdir)
    names = tuple("abcdefghij")
    card = make_card(TINY, 10, names, {"top1": 0.5}, metrics_step=5)
    checkpoints.save(state, {"step": 7}, card)
    checkpoints.wait()
    checkpoints.close()
    return workdir, jax.device_get(state)


def test_card_says_how_to_use_it(saved):
    workdir, _ = saved
    card = read_card(workdir)
    assert card is not None
    assert card["step"] == 0
    assert card["class_names"] == list("abcdefghij")
    assert card["model"]["hidden_size"] == 16
    assert card["preprocessing"]["image_size"] == [8, 8]
    assert card["metrics"] == {"top1": 0.5}
    assert card["metrics_step"] == 5
    assert json.loads(json.dumps(card)) == card
    assert read_card(workdir / "checkpoints" / "0") == card
    assert read_card(workdir / "checkpoints" / "1") is None
    assert read_card(workdir / "nothing") is None


@pytest.mark.parametrize("sizes", [(1, 1, 1), (8, 1, 1), (1, 4, 2)])
def test_a_state_restores_on_any_mesh(saved, sizes):
    workdir, state = saved
    config = change(
        TINY, mesh=dict(zip(("data", "fsdp", "tensor"), sizes, strict=True))
    )
    program, _ = program_on(config, int(np.prod(sizes)), num_classes=10)
    checkpoints = Checkpoints(workdir)
    restored, position = checkpoints.restore(program.abstract_state)
    checkpoints.close()
    assert position == {"step": 7}
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), state)


def test_parameters_load_without_the_optimizer(saved):
    workdir, state = saved
    trained = load(workdir)
    jax.tree.map(np.testing.assert_array_equal, trained.params, state.params)
    assert trained.class_names == tuple("abcdefghij")
    assert trained.preprocessing.image_size == (8, 8)


def test_room_is_checked_before_a_save(saved, tmp_path, monkeypatch):
    program, _ = program_on(TINY, 1, num_classes=10)
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(
        "vit_jax.training.checkpoint.shutil.disk_usage", lambda _: Usage(10, 9, 1)
    )
    with pytest.raises(ConfigError, match=r"MB free .* none is saved yet; make room"):
        checkpoints.check_space(program.abstract_state)
    with pytest.raises(ConfigError, match="make room"):
        checkpoints.save(program.init(), {}, {})
    checkpoints.close()
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_failed_write_is_told_in_the_systems_words(tmp_path, monkeypatch):
    program, _ = program_on(TINY, 1, num_classes=10)
    checkpoints = Checkpoints(tmp_path)

    def full(*args, **kwargs):
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write: No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(ConfigError, match=r"step 0 could not .*: No space left on dev"):
        checkpoints.save(program.init(), {}, {})
    checkpoints.close()


def test_a_workdir_whose_checkpoints_are_a_file_is_told(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(ConfigError, match=r"must be a folder that can be written to"):
        Checkpoints(tmp_path)


def test_a_ring_of_errors_ends(tmp_path):
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert _find_os_reason(one) is None
    other.args = ("Failed: No space left on device",)
    assert _find_os_reason(one) == "No space left on device"


@pytest.mark.parametrize("broken", ["card/metadata", "params/_METADATA"])
def test_a_damaged_checkpoint_is_told(saved, tmp_path, broken):
    workdir = tmp_path / "run"
    shutil.copytree(saved[0], workdir)
    (workdir / "checkpoints" / "0" / broken).write_text("{")
    with pytest.raises(ConfigError, match=r"cannot be read .* remove that folder"):
        load(workdir)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "hidden_size", 32),
        ("data", "image_size", (16, 16)),
        ("data", "batch_size", 64),
        ("optim", "name", "adamw"),
        ("optim", "weight_decay", 0.1),
        ("optim", "learning_rate_multipliers", (("head/.*", 1.0), (".*", 0.0))),
    ],
)
def test_another_run_is_refused(saved, section, field, value):
    card = read_card(saved[0])
    assert card is not None
    names = tuple("abcdefghij")
    assert check_same_run(card, TINY, 10, names) == []
    other = change(TINY, **{section: {field: value}})
    with pytest.raises(
        ConfigError, match=rf"{section}\.{field} is .* there and .* here"
    ):
        check_same_run(card, other, 10, names)


def test_other_classes_are_refused_and_a_new_rate_is_noted(saved):
    card = read_card(saved[0])
    assert card is not None
    with pytest.raises(ConfigError, match="class_names is a, b"):
        check_same_run(card, TINY, 10, tuple("bacdefghij"))
    noted = check_same_run(
        card, change(TINY, optim={"learning_rate": 0.2}), 10, tuple("abcdefghij")
    )
    assert noted == ["optim.learning_rate is 0.1 there and 0.2 here"]
