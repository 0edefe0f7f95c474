"""Checkpoints: the card, restoring on other meshes, and a disk without room."""

import collections
import json

import jax
import numpy as np
import pytest

from tests.runs import TINY, change, program_on
from vit_jax.checkpoint import Checkpoints, load_trained, make_card, read_card
from vit_jax.config import ConfigError, MeshConfig
from vit_jax.sharding import make_mesh

Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with one checkpoint, made on eight devices, and its state."""
    workdir = tmp_path_factory.mktemp("saved")
    program, _ = program_on(TINY, 8, num_classes=10)
    state = program.init()
    checkpoints = Checkpoints(workdir)
    names = tuple("abcdefghij")
    card = make_card(TINY, 10, names, {"top1": 0.5})
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
    trained = load_trained(workdir, make_mesh(MeshConfig()))
    jax.tree.map(np.testing.assert_array_equal, trained.params, state.params)
    assert trained.class_names == tuple("abcdefghij")
    assert trained.preprocessing.image_size == (8, 8)


def test_room_is_checked_before_a_save(saved, tmp_path, monkeypatch):
    program, _ = program_on(TINY, 1, num_classes=10)
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(
        "vit_jax.checkpoint.shutil.disk_usage", lambda _: Usage(10, 9, 1)
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
