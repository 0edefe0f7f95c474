"""Every kind of file gives the RGB that a viewer shows."""

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import encode, encode_header, encode_image
from vit_jax.data.images.decode import DecodeError, decode
from vit_jax.data.images.jpeg import MAX_PIXELS
from vit_jax.errors import ConfigError

# Two rows, three columns: corners tell orientations apart.
RGB = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[255, 255, 255], [0, 0, 0], [128, 64, 32]],
    ],
    np.uint8,
)
GRAY = np.array([[0, 100, 255], [7, 8, 9]], np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats(format: str) -> None:
    np.testing.assert_array_equal(decode(encode(RGB, format)), RGB)
    np.testing.assert_array_equal(
        decode(encode(GRAY, format)), np.repeat(GRAY[..., None], 3, axis=2)
    )


def test_lossless_webp_and_gif() -> None:
    np.testing.assert_array_equal(decode(encode(RGB, "WEBP", lossless=True)), RGB)
    np.testing.assert_array_equal(decode(encode(RGB, "GIF")), RGB)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (9, 200)]
    data = encode(np.asarray(frames[0]), "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [9, 9, 9]


def test_jpeg_agrees_with_pillow() -> None:
    ramp = np.arange(0, 256, 8, dtype=np.uint8)
    smooth = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 255 - ramp), axis=2)
    for pixels in (smooth, smooth[..., 0]):
        data = encode(pixels, "JPEG", quality=95)
        image = decode(data)
        assert image.shape == (32, 32, 3)
        assert image.dtype == np.uint8
        error = image.astype(int) - pixels.reshape(32, 32, -1).astype(int)
        assert np.abs(error).max() <= 12


def test_palette() -> None:
    image = Image.fromarray(GRAY).convert("P")
    palette = [0] * 768
    palette[300:303] = [1, 2, 3]
    image.putpalette(palette)
    data = encode_image(image, "PNG")
    assert decode(data)[0, 1].tolist() == [1, 2, 3]


def test_transparency_shows_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [255, 0, 51]  # black: opaque, clear, one fifth
    assert decode(encode(rgba))[0].tolist() == [[0] * 3, [255] * 3, [204] * 3]
    gray_alpha = Image.fromarray(rgba).convert("LA")
    assert decode(encode_image(gray_alpha, "PNG"))[0, 1].tolist() == [255] * 3
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9] * 768)
    data = encode_image(palette, "PNG", transparency=1)
    assert decode(data)[0].tolist() == [[9] * 3, [255] * 3]


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    red = decode(encode_image(image, "JPEG", quality=100))
    assert red.shape == (16, 16, 3)
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 3


def test_sixteen_bits_and_one_bit() -> None:
    deep = np.array([[0, 256, 65535]], np.uint16)
    assert decode(encode(deep))[0, :, 0].tolist() == [0, 1, 255]
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert decode(encode_image(bits, "PNG"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_exif_orientation(format: str, orientation: int) -> None:
    upright = np.kron(RGB, np.ones((16, 16, 1), np.uint8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(stored), format, exif=exif)
    image = decode(data)
    assert image.shape == upright.shape
    centres = image[8::16, 8::16].astype(int)
    assert np.abs(centres - RGB).max() <= (0 if format == "PNG" else 25)


def test_arrays_pass_through() -> None:
    np.testing.assert_array_equal(decode(RGB), RGB)
    assert decode(GRAY).tolist() == decode(GRAY[..., None]).tolist()
    assert decode(GRAY)[0, 1].tolist() == [100] * 3
    with pytest.raises(DecodeError, match="uint8"):
        decode(RGB.astype(np.float32))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "image must not be empty, got 0 bytes in cat/1.jpg"),
        (b"just some text", "got cat/1.jpg, which begins with b'just some te'"),
        (b"\xff\xd8 not a JPEG", "cat/1.jpg"),
        (encode(np.zeros((64, 64, 3), np.uint8))[:60], "must be readable"),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        decode(data, name="cat/1.jpg")
    assert message in str(error.value)
    assert "cat/1.jpg" in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_jpeg() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(noise, "JPEG")
    with pytest.raises(DecodeError, match="must not be damaged, got cat"):
        decode(data[: len(data) // 2], name="cat")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_600, 20_000])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_decompression_bomb(format: str, side: int) -> None:
    # A header that promises far more than follows: nothing is allocated.
    assert side * side > MAX_PIXELS
    with pytest.raises(DecodeError, match="must have at most"):
        decode(encode_header(side, format))
