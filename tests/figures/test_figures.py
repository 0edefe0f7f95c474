"""Attention, rollout, distance and parameters against NumPy; every picture is drawn."""

import dataclasses
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from tests import numpy_vit
from tests.models.tiny import OPTIONS, flat, random_images, random_params
from tests.trained import (
    golden_io,
    golden_model,
    golden_pixels,
    tiny_run,
    write_images,
)
from vit_jax import figures, models
from vit_jax.checkpoints.load import Loaded, load
from vit_jax.cli import main
from vit_jax.config import MeshConfig, Preprocessing
from vit_jax.errors import ConfigError
from vit_jax.mesh.sharding import make_mesh
from vit_jax.models.layers import stack_layer_params
from vit_jax.models.posemb import ADDED


def looked(name: str) -> figures.AttentionWeights:
    return figures.compute_attention(golden_model(name), golden_pixels(name))


@pytest.mark.parametrize("name", ["token", "gap"])
def test_attention_and_rollout_are_the_papers(name):
    found = looked(name)
    params, images = golden_model(name).params, golden_io(name)["images"]
    weights = np.stack([numpy_vit.attention_weights(params, x) for x in images], 1)
    np.testing.assert_allclose(found.layers, weights, atol=1e-5)
    expected = np.stack([numpy_vit.rollout(weights[:, i]) for i in range(len(images))])
    np.testing.assert_allclose(
        figures.compute_rollout(found.layers), expected, atol=1e-5
    )
    rows = expected[:, :1, 1:] if name == "token" else expected
    grid = figures.compute_rollout_maps(found)
    np.testing.assert_allclose(
        grid.reshape(len(images), -1), rows.mean(axis=1), atol=1e-5
    )
    np.testing.assert_allclose(
        figures.compute_rollout(found.layers).sum(axis=-1), 1, atol=1e-6
    )


def test_attention_distance_is_the_papers():
    found = looked("token")
    params, images = golden_model("token").params, golden_io("token")["images"]
    expected = [
        numpy_vit.attention_distance(
            numpy_vit.attention_weights(params, x)[:, :, 1:, 1:], columns=4, side=8
        )
        for x in images
    ]
    got = figures.compute_attention_distance(found.layers, (4, 4), (8, 8), 1)
    np.testing.assert_allclose(got, np.stack(expected, axis=1), rtol=1e-5)
    mean = figures.compute_mean_attention_distance(
        golden_model("token"), golden_pixels("token")
    )
    np.testing.assert_allclose(mean, np.mean(expected, axis=0), rtol=1e-5)


def test_attention_distance_of_known_weights():
    # Two patches, 10 pixels apart: looks at itself, at the other, at both.
    looks = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]])
    weights = looks[None, None].astype(np.float32)
    got = figures.compute_attention_distance(weights, (1, 2), (8, 10), 0)
    np.testing.assert_allclose(got, [[[0, 10, 5]]])


def test_rollout_of_one_layer_is_half_the_identity():
    weights = np.full((1, 1, 2, 4, 4), 0.25)
    expected = 0.5 * np.eye(4) + 0.125
    np.testing.assert_allclose(figures.compute_rollout(weights)[0], expected)


def test_attention_maps_leave_out_the_class_token():
    found = looked("token")
    maps = figures.compute_attention_maps(found)
    assert maps.shape == (2, 3, 4, 4, 4)
    np.testing.assert_array_equal(maps[1, 2, 3, 0, 2], found.layers[1, 2, 3, 0, 3])
    assert looked("gap").layers.shape[-1] == 9
    total = figures.compute_attention_maps(looked("gap")).sum(axis=(-2, -1))
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_map_head_weighs_the_rollout_by_its_probe():
    loaded = golden_model("big_vision/map_img_tower")
    size = loaded.preprocessing.image_size
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    found = figures.compute_attention(loaded, images)
    assert found.pooling is not None
    np.testing.assert_allclose(found.pooling.sum(axis=-1), 1, atol=1e-6)
    product = figures.compute_rollout(found.layers)
    expected = [
        found.pooling[i].mean(axis=0).astype(np.float64) @ product[i] for i in range(2)
    ]
    maps = figures.compute_rollout_maps(found).reshape(2, -1)
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize(
    "option", ["plain", "deit", "dinov2", "rope2d", "hybrid", "map"]
)
def test_weights_are_sown_only_when_asked_for(option):
    config = OPTIONS[option]
    model, params = models.build_model(config, 5), random_params(config)
    images = random_images()
    logits, state = model.apply(
        {"params": params}, images, train=False, mutable="attention"
    )
    found = flat(state["attention"])
    assert len(found) == models.resolve_model(config).num_layers + (option == "map")
    for (weights,) in found.values():
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    plain, none = model.apply(
        {"params": params}, images, train=False, mutable="intermediates"
    )
    np.testing.assert_array_equal(plain, logits)
    assert "attention" not in none


def test_a_scan_stacks_them():
    config, images = OPTIONS["plain"], random_images()
    params = random_params(config)
    model = models.build_model(config, 5)
    scanned = models.build_model(dataclasses.replace(config, scan=True), 5)

    def weights(model, params):
        _, state = model.apply(
            {"params": params}, images, train=False, mutable="attention"
        )
        return state["attention"]

    np.testing.assert_allclose(
        jax.tree.leaves(weights(scanned, stack_layer_params(params)))[0],
        np.stack(jax.tree.leaves(weights(model, params))),
        atol=1e-6,
    )


def test_position_similarity():
    loaded = golden_model("token")
    table = figures.get_position_table(loaded)
    rows = np.asarray(
        loaded.params["Transformer"]["posembed_input"]["pos_embedding"][0, 1:]
    )
    similarity = figures.compute_position_similarity(table)
    a, b = rows[1 * 4 + 2], rows[3 * 4 + 0]
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(similarity[1, 2, 3, 0], expected, rtol=1e-5)
    diagonal = np.einsum("yxyx->yx", similarity)
    np.testing.assert_allclose(diagonal, 1, rtol=1e-6)


def test_filter_components_span_the_filters():
    rng = np.random.default_rng(0)
    two = rng.normal(size=(2, 4, 4, 3))
    mix = rng.normal(size=(64, 2)) * [3.0, 1.0]
    kernel = np.einsum("nc,cyxf->yxfn", mix, two)
    components, shares = figures.compute_filter_components(kernel, 5)
    assert components.shape == (5, 4, 4, 3)
    np.testing.assert_allclose(shares[:2].sum(), 1, rtol=1e-9)
    assert shares[0] > shares[1] > 1e-3 > shares[2]
    basis = components[:2].reshape(2, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-9)
    left = two.reshape(2, -1) - two.reshape(2, -1) @ basis.T @ basis
    np.testing.assert_allclose(left, 0, atol=1e-9)


@pytest.mark.parametrize("name", ["token", "hybrid_1_1", "mixer"])
def test_filters_are_those_that_see_pixels(name):
    kernel = figures.get_patch_kernel(golden_model(name))
    assert kernel.shape[2] == 3


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("mixer", "attention", "a Mixer, which has none"),
        ("mixer", "positions", "which has no table of them"),
        ("token", "curves", "must come from a workdir"),
        ("token", "confusion", "--source must be given"),
        ("token", "rolout", 'did you mean "rollout"'),
    ],
)
def test_what_there_is_not_is_told(name, kind, message, tmp_path):
    images = write_images(name, tmp_path)
    with pytest.raises(ConfigError, match=message):
        figures.write_figures(
            golden_model(name).name, images, tmp_path / "out", kinds=[kind]
        )


def test_all_of_a_run_are_drawn(tmp_path, capsys):
    output = tmp_path / "figures"
    argv = ["figures", f"--checkpoint={tiny_run()}", f"--output={output}"]
    assert main(argv) == 0
    drawn = {path.stem.split("-")[0]: path for path in output.glob("*.png")}
    assert set(drawn) == set(figures.FIGURES)
    assert capsys.readouterr().out.count("wrote ") == len(list(output.iterdir()))
    for path in drawn.values():
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert min(pixels.shape[:2]) > 200, path
        assert pixels.std() > 5, path


def test_files_of_one_s_own_and_bad_ones(tmp_path, capsys):
    paths = write_images("token", tmp_path)
    checkpoint = golden_model("token").name
    argv = ["figures", f"--checkpoint={checkpoint}", f"--output={tmp_path / 'out'}"]
    assert main([*argv, *paths, "missing.png", "--kind=rollout"]) == 2
    captured = capsys.readouterr()
    assert "wrote" in captured.out
    assert "cannot read missing.png" in captured.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rollout.png"]


def test_what_a_mixer_lacks_is_left_out(tmp_path):
    images = write_images("mixer", tmp_path)
    written = figures.write_figures(
        golden_model("mixer").name, images, tmp_path / "out"
    )
    assert [path.stem for path in written.paths] == ["filters"]
    assert set(written.left_out) == set(figures.FIGURES) - {"filters"}


@pytest.mark.parametrize("to", ["timm", "huggingface"])
def test_a_checkpoint_of_another_library_is_drawn(to, tmp_path):
    source, folder = golden_model("token").name, tmp_path / to
    assert main(["convert", source, str(folder), f"--to={to}"]) == 0
    written = figures.write_figures(
        str(folder), write_images("token", tmp_path)[:1], tmp_path / "out"
    )
    stems = {path.stem.split("-")[0] for path in written.paths}
    assert stems == {"attention", "rollout", "distance", "positions", "filters"}


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - {"rates", "plain", "gap_rep"}))
def test_every_family_shows_what_it_has(option):
    config = models.resolve_model(OPTIONS[option])
    loaded = Loaded(
        name=option,
        model=models.build_model(config, 5),
        params=random_params(config),
        mesh=make_mesh(MeshConfig()),
        config=config,
        preprocessing=Preprocessing((24, 24)),
        num_classes=5,
        class_names=None,
    )
    size = (2, *loaded.preprocessing.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    if option == "mixer":
        with pytest.raises(ConfigError, match="Mixer"):
            figures.compute_attention(loaded, images)
    else:
        found = figures.compute_attention(loaded, images)
        assert found.layers.shape[:3] == (2, 2, 2)
        maps = figures.compute_rollout_maps(found)
        assert maps.shape == (2, *found.grid)
        assert 0 < maps[0].sum() <= 1 + 1e-6
    has_table = config.family != "mixer" and config.posemb in ADDED
    if has_table:
        grid = figures.get_position_table(loaded).shape[:2]
        assert grid == found.grid
    else:
        with pytest.raises(ConfigError, match="position embeddings"):
            figures.get_position_table(loaded)
    components, _ = figures.compute_filter_components(figures.get_patch_kernel(loaded))
    assert components.shape[-1] == 3


def test_mistakes_are_the_most_confident_ones():
    album = figures.Album(load(tiny_run()))
    found = album.mistakes(5)
    confidence = [mistake.confidence for mistake in found]
    assert confidence == sorted(confidence, reverse=True)
    assert all(mistake.truth != mistake.answer for mistake in found)
    matrix = album.confusion()
    assert matrix.sum() == 64
    assert len(album.mistakes(1000)) == 64 - np.trace(matrix)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"vit_jax\[plots\]"):
        figures.draw_curves([], "none")


def test_mfu_is_another_scale_of_the_throughput():
    speeds = [(1, 900.0), (2, 1000.0)]
    lines = [
        {"kind": "train", "step": step, "images_per_second": speed, "mfu": speed / 2000}
        for step, speed in speeds
    ]
    left, right = figures.draw_curve(lines, "Throughput").axes
    assert left.get_ylim()[1] > 1000, "the curve is under the top"
    np.testing.assert_allclose(right.get_ylim()[1] / left.get_ylim()[1], 100 / 2000)
    assert right.get_ylabel() == "MFU (%)"
    assert len(figures.draw_curve([], "Throughput").axes) == 1
