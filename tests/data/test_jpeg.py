"""Parts of JPEG files against the whole."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import encode, encode_image
from vit_jax.data.images import jpeg, turbojpeg
from vit_jax.data.images.crops import sample_box
from vit_jax.data.images.decode import DecodeError, decode, decode_box

RNG = np.random.default_rng(0)
# Structure at every scale, so that a row decoded wrongly shows.
PHOTO = np.zeros((131, 150, 3), np.uint8)
for n in (4, 16, 64):
    noise = Image.fromarray(RNG.integers(0, 64, (n, n, 3), np.uint8))
    PHOTO += np.asarray(noise.resize((150, 131)))
KINDS = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "optimized": {"optimize": True, "quality": 30},
}


@pytest.fixture(params=[True, False], ids=["libturbojpeg", "simplejpeg"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to decode a part."""
    if not request.param:
        monkeypatch.setattr(turbojpeg, "find_decoder", lambda: None)
    elif turbojpeg.find_decoder() is None:
        pytest.skip("there is no libturbojpeg here")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gray", [False, True])
def test_box_is_that_of_the_whole_image(kind: str, gray: bool) -> None:
    pixels = PHOTO[..., 0] if gray else PHOTO
    data = encode(pixels, "JPEG", **KINDS[kind])
    whole = decode(data)
    assert whole.shape == (131, 150, 3)
    rng = np.random.default_rng(1)
    boxes = [sample_box(rng, (131, 150)) for _ in range(40)]
    boxes += [(0, 0, 131, 150), (0, 0, 1, 1), (130, 149, 1, 1), (100, 0, 14, 9)]
    for box in boxes:
        top, left, height, width = box
        part = decode_box(data, lambda size, box=box: box)
        np.testing.assert_array_equal(
            part, whole[top : top + height, left : left + width], str(box)
        )


def test_baseline_stops_early_and_others_do_not() -> None:
    stopped = jpeg._stop_after(encode(PHOTO, "JPEG"), 40)
    assert stopped is not None
    assert jpeg._read_header(stopped) == ((40, 150), "YCbCr")
    assert jpeg._stop_after(encode(PHOTO, "JPEG"), 131) is None
    assert jpeg._stop_after(encode(PHOTO, "JPEG", progressive=True), 40) is None
    assert jpeg._stop_after(b"\xff\xd8\xff\xc0", 40) is None


def test_memory_is_reused() -> None:
    data = encode(PHOTO, "JPEG")
    one = decode_box(data, lambda size: (0, 0, 9, 9))
    two = decode_box(data, lambda size: (0, 0, 9, 9))
    assert np.shares_memory(one, two)
    assert not np.shares_memory(decode(data), decode(data))


@pytest.mark.parametrize(
    ("box", "factor"),
    [
        ((0, 0, 63, 100), 1),
        ((0, 0, 64, 64), 2),
        ((2, 4, 128, 140), 4),
        ((0, 0, 130, 60), 1),
    ],
)
def test_shrinking_keeps_the_minimum(
    box: tuple[int, int, int, int], factor: int
) -> None:
    smooth = np.asarray(Image.fromarray(PHOTO).resize((9, 9)).resize((150, 131)))
    data = encode(smooth, "JPEG", quality=95)
    part = decode_box(data, lambda size: box, min_size=(32, 32))
    top, left, height, width = box
    assert part.shape == (height // factor, width // factor, 3)
    assert min(part.shape[:2]) >= 32
    whole = decode(data)[top : top + height, left : left + width].astype(float)
    means = whole[: height // factor * factor, : width // factor * factor]
    means = means.reshape(height // factor, factor, width // factor, factor, 3)
    assert np.abs(part - means.mean(axis=(1, 3))).mean() < 3


def test_other_files_give_the_same_box() -> None:
    def box(size: tuple[int, int]) -> jpeg.Box:
        assert size == (131, 150)
        return 10, 20, 30, 40

    for image in (encode(PHOTO, "PNG"), PHOTO):
        part = decode_box(image, box, min_size=(1, 1))
        np.testing.assert_array_equal(part, PHOTO[10:40, 20:60])


def test_boxes_of_turned_images_are_chosen_as_they_are_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(PHOTO, "JPEG", exif=exif)
    sizes = []
    part = decode_box(data, lambda size: sizes.append(size) or (3, 5, 100, 20))
    assert sizes == [(150, 131)]
    upright = np.rot90(decode(encode(PHOTO, "JPEG")), -1)
    np.testing.assert_array_equal(part, upright[3:103, 5:25])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("kind", ["plain", "turned", "CMYK", *KINDS])
def test_damage_is_noticed(kind: str) -> None:
    """None of it is shown as grey: nor where the file was cut, nor behind it."""
    exif = Image.Exif()
    exif[0x0112] = 6 if kind == "turned" else 1
    # A thumbnail has an end of its own.
    comment = b"\xff\xd8 a small image \xff\xd9"
    image = Image.fromarray(PHOTO).convert("CMYK" if kind == "CMYK" else "RGB")
    data = encode_image(
        image, "JPEG", exif=exif, comment=comment, **KINDS.get(kind, {})
    )
    half = data[: len(data) // 2].rstrip(b"\xff")
    almost = lambda size: (0, 0, size[0] - 1, size[1] - 1)
    whole = lambda size: (0, 0, *size)
    for cut in (half, half + bytes(len(half)), half + b"\xff\xd9", data[:-2]):
        for box in (almost, whole):
            with pytest.raises(DecodeError, match=r"damaged|readable"):
                decode_box(cut, box)
        with pytest.raises(DecodeError, match=r"damaged|readable"):
            decode(cut)
    # What stands behind the end does no harm.
    for end in (b"\x00" * 9, b"\xff\xda trailer"):
        np.testing.assert_array_equal(decode(data + end), decode(data))


def test_cut_files_are_refused_even_where_the_box_is_whole() -> None:
    data = encode(PHOTO, "JPEG")
    for keep, rows in itertools.product((0.5, 0.9), (10, 120)):
        cut = data[: int(len(data) * keep)]
        with pytest.raises(jpeg.Damage, match="ends before the image does"):
            jpeg.decode_jpeg_box(cut, lambda size, rows=rows: (0, 0, rows, 9), None)
