"""Sizes by step, and training through a change of size."""

import jax
import numpy as np
import pytest

from tests.runs import TINY, change, program_on
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import shard_batch
from vit_jax.models.flops import count_training_flops
from vit_jax.models.progressive import fit_positions, make_size_at
from vit_jax.training.loop import train
from vit_jax.training.resolve import resolve_config

GROWING = change(TINY, data={"image_size": (16, 16), "progressive": ((0, 8), (50, 16))})


def test_sizes() -> None:
    size_at = make_size_at(resolve_config(GROWING), 100)
    assert [size_at(step) for step in (0, 49, 50, 99)] == [
        (8, 8), (8, 8), (16, 16), (16, 16)
    ]  # fmt: skip
    assert make_size_at(resolve_config(TINY), 100)(0) == (8, 8)
    wide = change(TINY, data={"image_size": (16, 32), "progressive": ((0, 8),)})
    assert make_size_at(resolve_config(wide), 100)(0) == (8, 16)


def test_what_does_not_fit() -> None:
    odd = change(GROWING, data={"progressive": ((0, 10),)})
    with pytest.raises(ConfigError, match="12"):
        make_size_at(resolve_config(odd), 100)
    relative = change(GROWING, model={"posemb": "relative"})
    with pytest.raises(
        ConfigError, match="use a ViT with posemb learned, sincos2d, rope2d or none"
    ):
        make_size_at(resolve_config(relative), 100)
    with pytest.raises(ConfigError, match="progressive must be"):
        change(GROWING, data={"progressive": ((50, 8), (0, 16))})


def test_class_token_stays_and_the_grid_is_resampled() -> None:
    table = np.arange(1 + 16, dtype=np.float32).reshape(1, 17, 1)
    params = {"Transformer": {"posembed_input": {"pos_embedding": table}}}
    model = resolve_config(GROWING).model
    fitted = fit_positions(params, model, (16, 16), (8, 8))
    new = np.asarray(fitted["Transformer"]["posembed_input"]["pos_embedding"])[0, :, 0]
    assert new[0] == 0
    # Antialiased to a half: symmetric about the middle of the grid, 8.5.
    np.testing.assert_allclose(new[1:] + new[:0:-1], 17, rtol=1e-6)
    assert fit_positions(params, model, (16, 16), (16, 16)) is params


def test_a_hybrids_tokens_are_cells_of_its_feature_map() -> None:
    root = {"family": "hybrid", "patch_size": (2, 2), "resnet_layers": ()}
    data = {"image_size": (16, 16), "progressive": ((0, 8),)}
    config = change(TINY, model=root | {"resnet_width_factor": 0.5}, data=data)
    table = np.arange(1 + 4, dtype=np.float32).reshape(1, 5, 1)
    params = {"Transformer": {"posembed_input": {"pos_embedding": table}}}
    fitted = fit_positions(params, resolve_config(config).model, (16, 16), (8, 8))
    new = fitted["Transformer"]["posembed_input"]["pos_embedding"]
    np.testing.assert_allclose(new[0, :, 0], [0, 2.5], rtol=1e-6)


def test_trains_at_every_size(tmp_path) -> None:
    result = train(change(GROWING, train={"total_steps": 4}), tmp_path)
    assert result.step == 4
    assert result.metrics["count"] == 359


def test_mfu_is_that_of_the_smaller_images(tmp_path, monkeypatch) -> None:
    """A quarter of the patches is a quarter of the work: as fast is less of the peak."""
    flops: list[int] = []
    monkeypatch.setattr(
        "vit_jax.training.build.find_peak_rate",
        lambda work, devices: flops.append(work) or 1.0,
    )
    every = {"total_steps": 4, "log_every_steps": 1}
    config = change(GROWING, train=every)
    train(config, tmp_path)
    model = resolve_config(config).model
    small, large = (count_training_flops(model, 10, (side, side)) for side in (8, 16))
    assert flops == [small, small, large, large]


def test_gradients_reach_the_whole_table() -> None:
    program, mesh = program_on(change(GROWING, optim={"warmup_steps": 0}), 8, 10)
    state = program.init()
    batch = {
        "image": np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8),
        "label": np.arange(32, dtype=np.int32) % 10,
    }

    def table() -> np.ndarray:
        embedding = state.params["Transformer"]["posembed_input"]["pos_embedding"]
        return np.array(jax.device_get(embedding))

    before = table()
    for _ in range(3):  # a head of zeros passes no gradient on the first
        state, _ = program.train_step(state, shard_batch(batch, mesh))
    assert (table() != before).any(axis=-1).all()
