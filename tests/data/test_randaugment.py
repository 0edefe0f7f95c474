"""RandAugment's sixteen operations, against Pillow and by eye."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from vit_jax.config import DataConfig
from vit_jax.data.augment import randaugment
from vit_jax.data.augment.randaugment import OPERATIONS
from vit_jax.data.loader import eval_batches, train_batches
from vit_jax.data.sources import make_source

RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(40, 200, (5, 6, 3), np.uint8)).resize((40, 30))
IMAGE = np.asarray(SMOOTH)
SHARP = RNG.integers(0, 256, (30, 40, 3), np.uint8)


def apply(
    name: str, magnitude: float, image: np.ndarray = IMAGE, sign: float = 1.0
) -> np.ndarray:
    before = image.copy()
    out = randaugment.apply_operation(image, name, magnitude, sign)
    np.testing.assert_array_equal(image, before)
    assert (out.shape, out.dtype) == (image.shape, np.uint8)
    return out


def pillow(name: str, magnitude: float) -> Image.Image:
    image, factor = Image.fromarray(IMAGE), 1.8 * magnitude / 10 + 0.1
    makers: dict[str, Any] = {
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "posterize": lambda: ImageOps.posterize(image, int(4 * magnitude / 10)),
        "solarize": lambda: ImageOps.solarize(image, int(256 * magnitude / 10)),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "color": lambda: ImageEnhance.Color(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
    }
    return makers[name]()


@pytest.mark.parametrize("magnitude", [3, 8])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("auto_contrast", 1), ("equalize", 0), ("invert", 0), ("posterize", 0),
        ("solarize", 0), ("brightness", 1), ("contrast", 2), ("color", 2),
        ("sharpness", 2),
    ],
)  # fmt: skip
def test_colors_are_those_of_pillow(name: str, tolerance: int, magnitude: int) -> None:
    difference = apply(name, magnitude).astype(int) - np.asarray(
        pillow(name, magnitude)
    )
    assert np.abs(difference).max() <= tolerance


def test_solarize_add() -> None:
    row = np.array([[0, 100, 127, 128, 250]], np.uint8)[..., None].repeat(3, axis=2)
    row = row.repeat(3, axis=0)
    assert apply("solarize_add", 10, row)[0, :, 0].tolist() == [110, 210, 237, 128, 250]


def test_smoothing_is_pillows_filter() -> None:
    ours = apply("sharpness", -1 / 1.8, SHARP).astype(int)  # a factor of 0
    theirs = np.asarray(Image.fromarray(SHARP).filter(ImageFilter.SMOOTH))
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_translation_moves_by_whole_pixels_and_fills_with_grey(sign: int) -> None:
    moved = apply("translate_x", 5, sign=sign)
    by = round(40 * 100 / 224 / 2)  # half of the published 100 pixels of 224
    left, right = (moved, IMAGE) if sign > 0 else (IMAGE, moved)
    np.testing.assert_array_equal(left[:, : 40 - by], right[:, by:])
    edge = moved[:, 40 - by :] if sign > 0 else moved[:, :by]
    assert (edge == 128).all()
    vertical = apply("translate_y", 5)
    by = round(30 * 100 / 224 / 2)
    np.testing.assert_array_equal(vertical[: 30 - by], IMAGE[by:])


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y"])
def test_geometry_is_that_of_pillow(name: str) -> None:
    level = 0.6
    image = Image.fromarray(IMAGE)
    if name == "rotate":
        theirs = image.rotate(
            level * 30, Image.Resampling.NEAREST, fillcolor=(128,) * 3
        )
    else:
        shear = 0.3 * level
        data = (1, shear, 0, 0, 1, 0) if name == "shear_x" else (1, 0, 0, shear, 1, 0)
        theirs = image.transform(
            image.size, Image.Transform.AFFINE, data, Image.Resampling.NEAREST,
            fillcolor=(128,) * 3,
        )  # fmt: skip
    ours = apply(name, 10 * level).astype(int)
    # The nearest of two pixels may be the other one where they are as near.
    same = (np.abs(ours - np.asarray(theirs)) <= 12).all(axis=2)
    assert same.mean() > 0.9, same.mean()


def test_cutout_is_a_grey_box() -> None:
    box = (apply("cutout", 10, SHARP) == 128).all(axis=2)
    reach = int(40 * 40 / 224), int(30 * 40 / 224)
    assert box.sum() == 4 * reach[0] * reach[1]
    assert box[15 - reach[1] : 15 + reach[1], 20 - reach[0] : 20 + reach[0]].all()


def test_each_draw_is_another_operation() -> None:
    def draw(seed: int) -> np.ndarray:
        return randaugment.apply_randaugment(IMAGE, np.random.default_rng(seed), 1, 10)

    out = np.stack([draw(seed) for seed in range(320)])
    inverted = (out == 255 - IMAGE).all(axis=(1, 2, 3)).sum()
    # 320 draws of 1/16: five standard deviations are 22.
    assert abs(int(inverted) - 20) < 22
    assert len({image.tobytes() for image in out}) > 16
    np.testing.assert_array_equal(out[7], draw(7))


def test_the_loader_applies_it(digits: DataConfig) -> None:
    """To each image its own, a function of seed and place, not of threads."""
    data = dataclasses.replace(digits, train_crop="resize")
    source = make_source(data, "train")

    def batch(**fields: Any) -> np.ndarray:
        changed = dataclasses.replace(data, **fields)
        batches = train_batches(source, changed, seed=0)
        try:
            return next(batches)["image"]
        finally:
            batches.close()

    plain, one = batch(), batch(randaugment=(2, 10.0), num_threads=1)
    two = batch(randaugment=(2, 10.0), num_threads=3)
    np.testing.assert_array_equal(one, two)
    changed = (one != plain).any(axis=(1, 2, 3))
    assert changed.mean() > 0.7
    (evaluated, *_) = eval_batches(
        source, dataclasses.replace(data, randaugment=(2, 10.0))
    )
    (expected, *_) = eval_batches(source, data)
    np.testing.assert_array_equal(evaluated["image"], expected["image"])


def test_magnitudes_past_ten_are_defined() -> None:
    """AugReg goes to 20."""
    for name in OPERATIONS:
        apply(name, 20)
    np.testing.assert_array_equal(apply("solarize", 20), IMAGE)
    np.testing.assert_array_equal(apply("posterize", 20), IMAGE)


def test_one_value_alone_stays() -> None:
    gray = np.full((9, 9, 3), 77, np.uint8)
    for name in ("auto_contrast", "equalize"):
        np.testing.assert_array_equal(apply(name, 5, gray), gray)
