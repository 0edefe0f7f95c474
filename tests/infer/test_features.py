"""Features of image files: the original's own numbers, every layer and kind."""

import subprocess
import sys

import numpy as np
import pytest

from tests.trained import golden_io, golden_model, tiny_run, write_images
from vit_jax.checkpoints.load import load
from vit_jax.errors import ConfigError
from vit_jax.infer.features import extract_features
from vit_jax.infer.predict import Predictor


@pytest.mark.parametrize("name", ["token", "gap_rep", "hybrid_1_1", "mixer"])
def test_features_are_those_of_the_original(name, tmp_path):
    io, loaded = golden_io(name), golden_model(name)
    paths = write_images(name, tmp_path)
    found = extract_features(loaded, paths, batch_size=2)
    assert found.paths == tuple(paths)
    head = {key: np.asarray(value) for key, value in loaded.params["head"].items()}
    logits = found.values @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(logits, io["logits"], atol=5e-5)
    grid = extract_features(loaded, paths[:1], layer=0, kind="grid").values
    tokens = io["first_image/block_0"]
    patches = tokens[:, loaded.num_prefix :]
    np.testing.assert_allclose(grid.reshape(patches.shape), patches, atol=5e-5)
    mean = extract_features(loaded, paths[:1], layer=0, kind="mean").values
    np.testing.assert_allclose(mean, patches.mean(axis=1), atol=5e-5)


def test_a_grid_has_the_patches_in_their_place(tmp_path):
    (path, *_) = write_images("token", tmp_path)
    loaded = golden_model("token")
    grid = extract_features(loaded, [path], kind="grid").values
    assert grid.shape == (1, 4, 4, 32)
    encoded = golden_io("token")["first_image/encoded"][:, 1:]
    np.testing.assert_allclose(grid[0, 1, 2], encoded[0, 1 * 4 + 2], atol=2e-5)


def test_layers_count_from_both_ends_and_the_last_norm_follows_them(tmp_path):
    (path, *_) = write_images("token", tmp_path)
    loaded = golden_model("token")

    def token(layer):
        return extract_features(loaded, [path], layer=layer, kind="token").values

    np.testing.assert_array_equal(token(-1), token(1))
    assert np.abs(token(1) - token(0)).max() > 0.01
    features = extract_features(loaded, [path]).values
    np.testing.assert_allclose(token(None), features, atol=1e-6)
    norm = loaded.params["Transformer"]["encoder_norm"]
    x = token(-1)
    centred = x - x.mean()
    scale, bias = np.asarray(norm["scale"]), np.asarray(norm["bias"])
    normed = centred / np.sqrt(centred.var() + 1e-6) * scale + bias
    np.testing.assert_allclose(features, normed, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("token", {"kind": "tokens"}, 'kind must be one of .* did you mean "token"'),
        ("token", {"kind": "mean", "layer": 2}, "layer must be between 0 and 1"),
        ("token", {"layer": 0}, "layer must be left out"),
        ("gap", {"kind": "token"}, "no class token"),
        ("mixer", {"kind": "token"}, "no class token"),
    ],
)
def test_missing_kinds_and_layers_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        extract_features(golden_model(name), [], **options)


def test_bad_files_are_named_and_the_others_go_on(tmp_path):
    good, *_ = write_images("token", tmp_path)
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    missing = str(tmp_path / "missing.png")
    found = extract_features(golden_model("token"), [str(text), good, missing])
    assert found.paths == (good,)
    assert found.values.shape == (1, 32)
    assert "begins with" in found.errors[str(text)]
    assert "No such file" in found.errors[missing]


def test_prediction_works_with_any_format(tmp_path):
    predictor = Predictor(golden_model("token").name)
    found = predictor.predict(write_images("token", tmp_path), top_k=10)
    logits = golden_io("token")["logits"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for prediction, row in zip(found, expected, strict=True):
        assert prediction.labels[0] == row.argmax()
        np.testing.assert_allclose(prediction.probabilities, -np.sort(-row), atol=1e-5)


def test_what_is_loaded_knows_its_data():
    loaded = load(tiny_run())
    assert loaded.run is not None
    assert loaded.data().source == "digits"
    assert loaded.step == 12
    with pytest.raises(ConfigError, match="--source must be given"):
        golden_model("token").data()
    assert golden_model("token").data("digits").image_size == (32, 32)


def test_no_matplotlib_is_imported_for_features():
    code = "import vit_jax.infer.features, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
