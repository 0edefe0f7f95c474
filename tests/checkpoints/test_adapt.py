"""Checkpoints fitted to a task, held against the original's own loads."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.references import Case, google_config
from tests.models.tiny import OPTIONS, flat, random_images, random_params, tiny
from vit_jax import checkpoints, models
from vit_jax.checkpoints.adapt.fit import fit_checkpoint
from vit_jax.checkpoints.adapt.positions import resample_positions
from vit_jax.checkpoints.adapt.resample import (
    make_half_pixel_matrix,
    resample,
    resize_patches,
)
from vit_jax.checkpoints.lazy import make_lazy
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig, Preprocessing
from vit_jax.errors import ConfigError

LOADS = ["gap_3to2", "hybrid_root_6to4", "token_4to4", "token_4to6",
         "token_rep_5to3_drop", "token_rep_5to7_keep"]  # fmt: skip


def flat_params(config: ModelConfig, num_classes: int | None = 5):
    return {
        k: np.asarray(v) for k, v in flat(random_params(config, num_classes)).items()
    }


def checkpoint_of(
    config: ModelConfig,
    num_classes: int | None = 5,
    size: tuple[int, int] = (24, 24),
) -> Checkpoint:
    config = models.resolve_model(config)
    down, across = models.find_token_size(config)
    tensors = {k: make_lazy(v) for k, v in flat_params(config, num_classes).items()}
    grid = (size[0] // down, size[1] // across)
    return Checkpoint(
        "vit_jax", tensors, config, num_classes, grid, Preprocessing(size)
    )


def shapes_on(grid, model: ModelConfig, num_classes: int | None):
    """Returns what a model has for a grid of patches."""
    down, across = models.find_token_size(model)
    size = (grid[0] * down, grid[1] * across) if grid else None
    return models.find_shapes(model, num_classes, size)


@pytest.mark.parametrize("name", LOADS)
def test_load_as_the_original(golden: Path, name: str) -> None:
    meta = json.loads((golden / "load" / f"{name}.json").read_text())
    with np.load(golden / "load" / f"{name}.npz") as arrays:
        io = dict(arrays)
    source = checkpoints.open_checkpoint(
        (golden / "load" / meta["checkpoint"]).resolve()
    )
    with np.load((golden / "load" / meta["checkpoint"]).resolve()) as arrays:
        raw = dict(arrays)
    fitted = fit_checkpoint(
        source,
        google_config(meta["model_config"]),
        meta["num_classes"],
        tuple(meta["image_size"]),
        head="new",
    )
    assert fitted.tensors.keys() == meta["params"].keys()
    params = {}
    for path, entry in meta["params"].items():
        got = np.asarray(fitted.tensors[path])
        assert list(got.shape) == entry["shape"]
        kind, _, key = entry["from"].partition(":")
        if kind == "checkpoint":
            np.testing.assert_array_equal(got, raw[key].reshape(got.shape))
        elif kind == "interpolated":
            np.testing.assert_allclose(got, io[f"params/{path}"], rtol=0, atol=1e-6)
        else:
            assert kind == "init"
            assert not got.any()
            got = io[f"params/{path}"]
        params[path] = got
    logits, intermediates = Case(fitted.model, meta["num_classes"], params, io).run()
    tolerance = 5e-5 if "hybrid" in name else 2e-5
    np.testing.assert_allclose(logits, io["logits"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        intermediates["features"], io["pre_logits"], rtol=0, atol=tolerance
    )


def test_unusual_loads_are_clear_errors(golden: Path) -> None:
    """Where the original fails or loads half a model; see the file's notes."""
    cases = json.loads((golden / "load" / "behaviour.json").read_text())["cases"]
    errors = []
    for case in cases:
        try:
            fitted = fit_checkpoint(
                checkpoints.open_checkpoint(golden / case["checkpoint"]),
                google_config(case["model_config"]),
                case["num_classes"],
                tuple(case["image_size"]),
                head="new",
            )
        except ConfigError as error:
            errors.append(str(error))
        else:  # what is loaded, is loaded whole
            shapes = shapes_on(fitted.grid, fitted.model, fitted.num_classes)
            assert {k: v.shape for k, v in fitted.tensors.items()} == shapes
    assert len(errors) >= 5
    assert not any("\n" in error for error in errors)


def test_positions_as_the_original(golden: Path) -> None:
    meta = json.loads((golden / "posembed" / "interpolate.json").read_text())
    with np.load(golden / "posembed" / "interpolate.npz") as arrays:
        data = dict(arrays)
    assert len(meta["cases"]) == 16
    for case in meta["cases"]:
        key = case["key"]
        old, new = case["old_grid"], case["new_grid"]
        args = (data[f"{key}.in"], int(case["has_class_token"]), (old, old), (new, new))
        exact = resample_positions(*args, "original")
        np.testing.assert_array_equal(exact, data[f"{key}.out"])
        meant = data.get(f"{key}.aligned", data[f"{key}.out"])
        ours = resample_positions(*args, "bilinear")
        np.testing.assert_allclose(ours, meant, rtol=0, atol=1e-6)


def test_zoom_quirk_pairs(golden: Path) -> None:
    """`original` writes the zeros for exactly the recorded pairs; bilinear never."""
    listed = json.loads((golden / "posembed" / "zoom_quirk_pairs.json").read_text())
    pairs = {tuple(pair) for pair in listed["pairs"]}
    assert len(pairs) == 112
    clean = {(14, 24), (24, 14), (14, 28), (7, 12), (12, 24)}
    for old, new in sorted(pairs)[::8] + sorted(clean):
        ones = np.ones((old, old, 1), np.float32)
        got = resample(ones, (new, new), "original")
        assert (got[-1].max() == 0) == ((old, new) in pairs)
        np.testing.assert_allclose(resample(ones, (new, new)), 1, rtol=0, atol=1e-6)


def test_positions_as_timm(golden: Path) -> None:
    meta = json.loads((golden / "timm" / "resample_posembed.json").read_text())
    with np.load(golden / "timm" / "resample_posembed.npz") as arrays:
        data = dict(arrays)
    methods = {("bicubic", True): "bicubic", ("bilinear", False): "half_pixel"}
    for case in meta["cases"]:
        got = resample_positions(
            data[f"{case['key']}.in"],
            case["num_prefix_tokens"],
            tuple(case["old"]),
            tuple(case["new"]),
            methods[case["interpolation"], case["antialias"]],
        )
        expected = data[f"{case['key']}.out"]
        # Computed there in float32, here in float64: 1e-6 of the largest value.
        tolerance = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def test_bilinear_keeps_the_corners_by_eye() -> None:
    grid = np.array([[0.0, 2.0], [4.0, 6.0]], np.float32)[..., None]
    expected = [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    np.testing.assert_array_equal(resample(grid, (3, 3))[..., 0], expected)
    np.testing.assert_array_equal(
        resample(grid, (2, 3))[..., 0], [[0, 1, 2], [4, 5, 6]]
    )


def test_larger_patches_see_the_same_in_larger_images() -> None:
    """FlexiViT: <resized image, resized kernel> is <image, kernel>."""
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(4, 6)), rng.normal(size=(4, 6, 1, 1))
    resized = resize_patches(kernel.astype(np.float32), (8, 9))
    larger = make_half_pixel_matrix(4, 8) @ image @ make_half_pixel_matrix(6, 9).T
    expected = np.sum(image * kernel[:, :, 0, 0])
    np.testing.assert_allclose(
        np.sum(larger * resized[:, :, 0, 0]), expected, atol=1e-5
    )


def logits_of(checkpoint: Checkpoint, images) -> np.ndarray:
    params = {k: np.asarray(v, np.float32) for k, v in checkpoint.tensors.items()}
    case = Case(checkpoint.model, checkpoint.num_classes, params, {"images": images})
    return np.asarray(case.run()[0])


@pytest.mark.parametrize("name", ["plain", "clip", "mixer"])
def test_another_range_gives_the_same_logits(name: str) -> None:
    source = checkpoint_of(OPTIONS[name])
    images = np.asarray(random_images())
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    seen = ((images + 1) / 2 - mean) / std
    expected = logits_of(source, seen.astype(np.float32))
    assert source.preprocessing is not None
    ours = source.preprocessing
    theirs = dataclasses.replace(
        ours, value_range=(0.0, 1.0), mean=tuple(mean), std=tuple(std)
    )
    imagenet = dataclasses.replace(source, preprocessing=theirs)
    fitted = fit_checkpoint(imagenet, images=ours)
    assert fitted.preprocessing == ours
    np.testing.assert_allclose(logits_of(fitted, images), expected, rtol=0, atol=2e-5)
    back = fit_checkpoint(fitted, images=theirs)
    seen = np.asarray(seen, np.float32)
    np.testing.assert_allclose(logits_of(back, seen), expected, rtol=0, atol=2e-5)
    assert fit_checkpoint(source, images=ours).tensors == source.tensors


def test_a_hybrids_range_cannot_be_folded() -> None:
    source = checkpoint_of(OPTIONS["hybrid"])
    images = Preprocessing((24, 24), value_range=(0.0, 1.0))
    with pytest.raises(ConfigError, match="padded"):
        fit_checkpoint(source, images=images)


def test_head_is_kept_or_new() -> None:
    source = checkpoint_of(tiny(representation_size=12))
    kept = fit_checkpoint(source, num_classes=5)
    assert kept.model.representation_size == 12
    np.testing.assert_array_equal(
        kept.tensors["head/kernel"], source.tensors["head/kernel"]
    )
    new = fit_checkpoint(source, num_classes=7)
    assert new.model.representation_size is None
    assert new.tensors["head/kernel"].shape == (16, 7)
    assert not np.asarray(new.tensors["head/kernel"]).any()
    again = fit_checkpoint(source, num_classes=5, head="new")
    assert not np.asarray(again.tensors["head/kernel"]).any()
    with_rep = fit_checkpoint(source, source.model, 7)
    assert with_rep.tensors["head/kernel"].shape == (12, 7)
    with pytest.raises(ConfigError, match="head/kernel"):
        fit_checkpoint(source, num_classes=7, head="keep")


def test_a_head_does_not_outlive_its_pre_logits() -> None:
    """As wide as the model, so that the head would fit, and predict nonsense."""
    source = checkpoint_of(tiny(representation_size=16))
    without = tiny()
    fitted = fit_checkpoint(source, without)
    assert not np.any(fitted.tensors["head/kernel"])
    with pytest.raises(ConfigError, match=r"head must be new .*representation_size=16"):
        fit_checkpoint(source, without, head="keep")
    kept = fit_checkpoint(source, tiny(representation_size=16))
    assert np.any(kept.tensors["head/kernel"])


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_another_image_size(name: str) -> None:
    """Every option fits (non-square) images of another size, or says why not."""
    source = checkpoint_of(OPTIONS[name])
    unit = models.find_token_size(source.model)
    size = (unit[0] * 2, unit[1] * 4)
    if name in ("mixer", "relative"):
        with pytest.raises(ConfigError, match="image_size must keep"):
            fit_checkpoint(source, image_size=size)
        return
    fitted = fit_checkpoint(source, image_size=size)
    assert fitted.grid == (2, 4)
    assert np.isfinite(
        logits_of(fitted, np.asarray(random_images((2, *size, 3))))
    ).all()


def test_patch_size_and_class_row() -> None:
    source = checkpoint_of(tiny())
    small = fit_checkpoint(source, dataclasses.replace(source.model, patch_size=(4, 6)))
    assert small.tensors["embedding/kernel"].shape == (4, 6, 3, 16)
    assert small.grid == (6, 4)
    images = np.asarray(random_images())
    without = fit_checkpoint(
        source, dataclasses.replace(source.model, posemb_prefix=False)
    )
    expected = logits_of(source, images)
    np.testing.assert_allclose(logits_of(without, images), expected, rtol=0, atol=2e-5)
    back = fit_checkpoint(without, source.model)
    np.testing.assert_allclose(logits_of(back, images), expected, rtol=0, atol=2e-5)


def test_other_arithmetic_is_said() -> None:
    source = checkpoint_of(tiny(activation="gelu"))
    fitted = fit_checkpoint(source, tiny(layer_norm_epsilon=1e-5))
    assert fitted.notes[0] == "its activation is gelu, the model's gelu_tanh"
    assert "layer_norm_epsilon" in fitted.notes[1]
    assert not fit_checkpoint(source).notes


def test_image_size_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        fit_checkpoint(checkpoint_of(tiny()), image_size=(24, 25))
