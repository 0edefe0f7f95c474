"""Crops against images whose pixels say where they come from."""

import numpy as np
import pytest

from vit_jax.config import Preprocessing
from vit_jax.config.choices import INTERPOLATIONS
from vit_jax.data.images import crops
from vit_jax.errors import ConfigError

# Pixel (y, x) holds (y, x, 7).
MAP = np.stack([*np.mgrid[:60, :80], np.full((60, 80), 7)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [(60, 80), (1, 1), (1, 50), (500, 3)])
def test_boxes_lie_inside_and_keep_the_ranges(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    area, aspect = (0.1, 0.6), (0.5, 2.0)
    for _ in range(300):
        box = crops.sample_box(rng, size, area, aspect)
        top, left, height, width = box
        assert top >= 0
        assert left >= 0
        assert height > 0
        assert width > 0
        assert top + height <= size[0]
        assert left + width <= size[1]
        if box != (0, 0, *size):
            assert area[0] <= height * width / (size[0] * size[1]) <= area[1]
            # Width was rounded to a pixel.
            assert (
                aspect[0] - 0.5 / height <= width / height <= aspect[1] + 0.5 / height
            )


def test_boxes_reach_every_edge_and_spread_evenly() -> None:
    rng = np.random.default_rng(1)
    boxes = np.array([crops.sample_box(rng, (60, 80)) for _ in range(4000)])
    top, left, height, width = boxes.T
    assert top.min() == left.min() == 0
    assert (top + height).max() == 60
    assert (left + width).max() == 80
    # Centres are symmetric about the middle, heights uniform on their range.
    assert abs((top + height / 2).mean() - 30) < 0.5
    assert abs((left + width / 2).mean() - 40) < 0.7
    square = np.array(
        [crops.sample_box(rng, (60, 60), (0.25, 1.0), (1, 1))[2] for _ in range(4000)]
    )
    assert square.min() == 30
    assert square.max() == 60
    np.testing.assert_allclose(np.bincount(square)[30:] / 4000, 1 / 31, atol=0.012)


def test_whole_image_when_no_box_fits() -> None:
    rng = np.random.default_rng(0)
    assert crops.sample_box(rng, (10, 90), (0.9, 1), (1, 1)) == (0, 0, 10, 90)


def test_area_one_is_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    assert crops.sample_box(rng, (64, 64), (1, 1), (1, 1)) == (0, 0, 64, 64)


def test_bilinear_takes_two_neighbours_at_half_pixel_centres() -> None:
    row = np.array([0, 100, 200, 40], np.uint8)
    image = np.repeat(row[None, :, None], 3, axis=2)
    half = crops.resize(image, (1, 2), "bilinear")[0, :, 0]
    assert half.tolist() == [50, 120]
    double = crops.resize(image, (1, 8), "bilinear")[0, :, 0]
    assert double.tolist() == [0, 25, 75, 125, 175, 160, 80, 40]
    # Not antialiased: one in four is read off between the middle two alone.
    wide = np.repeat(np.array([9, 10, 30, 9], np.uint8)[None, :, None], 3, axis=2)
    assert crops.resize(wide, (1, 1), "bilinear")[0, 0, 0] == 20


def test_area_and_antialiased_kernels() -> None:
    wide = np.repeat(np.array([8, 10, 30, 8], np.uint8)[None, :, None], 3, axis=2)
    assert crops.resize(wide, (1, 1), "area")[0, 0, 0] == 14
    # Triangle of half-width 4 centred on the row: weights 1/4 (5 7 7 5) / 6.
    expected = round((5 * 8 + 7 * 10 + 7 * 30 + 5 * 8) / 24)
    assert crops.resize(wide, (1, 1), "bilinear_antialias")[0, 0, 0] == expected
    ramp = np.repeat(np.arange(0, 240, 10).astype(np.uint8)[None, :, None], 3, axis=2)
    middle = crops.resize(ramp, (1, 12), "bicubic")[0, 3:9, 0]
    assert middle.tolist() == [65, 85, 105, 125, 145, 165]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_every_interpolation_keeps_shape_and_constants(interpolation: str) -> None:
    image = np.full((13, 7, 3), 77, np.uint8)
    for size in ((5, 5), (13, 7), (26, 3), (40, 40)):
        out = crops.resize(image, size, interpolation)
        assert out.shape == (*size, 3)
        assert out.dtype == np.uint8
        assert (out == 77).all()


def test_unknown_interpolation() -> None:
    with pytest.raises(ConfigError, match='did you mean "bicubic"'):
        crops.resize(MAP, (4, 4), "bicubc")


def test_eval_resize_ignores_the_shape() -> None:
    out = crops.crop_eval(MAP, Preprocessing((30, 20)))
    np.testing.assert_array_equal(out, crops.resize(MAP, (30, 20), "bilinear"))


def test_eval_centre_crop_of_an_image_that_has_the_size() -> None:
    # 60 x 80, short side 60 = 48 / 0.8: nothing is scaled, the middle is cut out.
    preprocessing = Preprocessing((48, 48), "center", 0.8)
    np.testing.assert_array_equal(crops.crop_eval(MAP, preprocessing), MAP[6:54, 16:64])


@pytest.mark.parametrize("turned", [False, True])
def test_eval_centre_crop_scales_to_the_size_that_torchvision_computes(
    turned: bool,
) -> None:
    """``int(256 * 588 / 392)`` is 384; 588 times the rounded quotient is below it."""
    image = np.random.default_rng(0).integers(0, 256, (392, 588, 3), dtype=np.uint8)
    size, window = (256, 384), np.s_[16:240, 80:304]
    if turned:
        image, size, window = image.transpose(1, 0, 2), size[::-1], window[::-1]
    out = crops.crop_eval(image, Preprocessing((224, 224), "center", 0.875))
    np.testing.assert_array_equal(out, crops.resize(image, size, "bilinear")[window])


@pytest.mark.parametrize("shape", [(60, 80), (333, 500), (17, 4), (1, 1), (224, 224)])
@pytest.mark.parametrize("size", [(16, 16), (24, 8), (7, 31)])
def test_eval_centre_crop_has_the_size(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    out = crops.crop_eval(image, Preprocessing(size, "center", 0.875))
    assert out.shape == (*size, 3)
