import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ssdzoo.data import images
from ssdzoo.data.images import decode_image, has_decoder, image_info, image_size, read_image, to_8_bits
from ssdzoo.errors import CallError, DataError


def smooth(height=60, width=90):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 3, (x + y)], -1).astype(np.uint8)


def jpeg(image, thumbnail=False, orientation=None, **kwargs):
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    data = exif.tobytes()
    if thumbnail:
        small = io.BytesIO()
        Image.fromarray(image[::4, ::4]).save(small, "JPEG")
        data += small.getvalue()  # a whole JPEG, end marker and all, inside of the header
    Image.fromarray(image).save(buffer, "JPEG", quality=95, exif=data, **kwargs)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_lossless_images_are_read_as_they_are(suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(smooth()).save(path, lossless=True)
    np.testing.assert_array_equal(read_image(path), smooth())
    assert image_size(path) == (60, 90)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(progressive, tmp_path):
    (tmp_path / "x.jpg").write_bytes(jpeg(smooth(), progressive=progressive))
    image = read_image(tmp_path / "x.jpg")
    assert image.dtype == np.uint8 and np.abs(image.astype(int) - smooth()).max() < 12
    assert image_size(tmp_path / "x.jpg") == (60, 90)


def test_orientation_is_applied_to_image_and_size(tmp_path):
    (tmp_path / "x.jpg").write_bytes(jpeg(smooth(), orientation=6))
    assert read_image(tmp_path / "x.jpg").shape == (90, 60, 3)
    assert image_size(tmp_path / "x.jpg") == (90, 60)


def test_gray_and_alpha(tmp_path):
    cv2.imwrite(str(tmp_path / "gray.png"), smooth()[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([smooth()[..., ::-1], np.full((60, 90), 128, np.uint8)]))
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), np.repeat(smooth()[..., :1], 3, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), smooth())


def deep():
    """Smooth pixels that use all values of 8 bits."""
    image = smooth()
    image[0, 0, 0], image[-1, -1, -1] = 0, 255
    return image


@pytest.mark.parametrize("suffix", ["png", "tiff", "ppm"])
@pytest.mark.parametrize("lowest, step", [(0, 257), (0, 1), (7000, 4), (65535 - 255, 1)])
def test_16_bits_are_scaled_by_the_range_of_the_file(suffix, lowest, step, tmp_path):
    """Of a 14-bit thermal photo that uses 1,000 values, 8 fixed bits would keep five shades."""
    path = tmp_path / f"x.{suffix}"
    cv2.imwrite(str(path), lowest + deep()[..., ::-1].astype(np.uint16) * step)
    assert decode_image(path).dtype == np.uint16
    np.testing.assert_array_equal(read_image(path), deep())


def test_16_bits_of_other_layouts(tmp_path):
    bgr = 1000 + deep()[..., ::-1].astype(np.uint16) * 3
    alpha = np.dstack([bgr, np.full((60, 90), 65535, np.uint16)])
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)  # transparency does not count for the range
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), deep())
    gray = deep()[..., 0].astype(np.uint16) * 2
    gray[0, 1] = 510
    cv2.imwrite(str(tmp_path / "gray.png"), gray)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), np.repeat((gray // 2).astype(np.uint8)[..., None], 3, 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), np.rot90(read_image(tmp_path / "gray.png"), -1))
    assert image_info(tmp_path / "turned.png") == (90, 60, 6)


@pytest.mark.parametrize("dtype, channels", [(np.int16, 1), (np.int16, 3), (np.int32, 1), (np.float32, 1), (np.float64, 1)])
def test_other_depths_of_tiff(dtype, channels, tmp_path):
    image = deep() if channels == 3 else np.repeat(deep()[..., 1:2], 3, 2)
    values = 7 * image[..., ::-1][..., :channels].astype(dtype) - 300
    cv2.imwrite(str(tmp_path / "x.tiff"), values / 16 if values.dtype.kind == "f" else values)
    np.testing.assert_allclose(read_image(tmp_path / "x.tiff"), image * (255 / image.max()), atol=0.51)
    assert image_size(tmp_path / "x.tiff") == (60, 90)


def test_values_that_are_not_finite_and_images_of_one_value():
    pixels = np.array([[[np.nan, np.inf, -np.inf], [-5, 0, 5]]], np.float32)
    assert to_8_bits(pixels).tolist() == [[[0, 0, 0], [0, 128, 255]]]
    assert to_8_bits(np.full((1, 1, 3), 7000, np.uint16)).tolist() == [[[0, 0, 0]]]
    assert to_8_bits(np.full((1, 1, 3), np.nan, np.float32)).tolist() == [[[0, 0, 0]]]
    assert to_8_bits(np.array([[[3, 4, 5]]], np.uint8)).tolist() == [[[3, 4, 5]]]


@pytest.mark.parametrize("thumbnail", [False, True])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_jpeg(thumbnail, part, tmp_path):
    rng = np.random.default_rng(0)
    data = jpeg(rng.integers(0, 256, (200, 200, 3), np.uint8), thumbnail)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data)
    assert read_image(path).shape == (200, 200, 3)
    path.write_bytes(data[: int(len(data) * part)])
    for read in (read_image, image_size):
        with pytest.raises(DataError, match="cut.jpg: truncated"):
            read(path)


def test_bytes_after_the_end_are_no_damage(tmp_path):
    (tmp_path / "x.jpg").write_bytes(jpeg(smooth()) + b"\0" * 1000)
    assert read_image(tmp_path / "x.jpg").shape == (60, 90, 3)


def test_truncated_png(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("content, message", [(None, "no such image"), (b"", "empty"), (b"hello world" * 50, "not an image")])
def test_what_is_no_image(content, message, tmp_path, capfd):
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=f"x.jpg: .*{message}"):
            read(path)
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


def test_an_end_far_from_the_file_s_end_is_found(tmp_path):
    """Phones append a video to a photo. It must not pass for the end that a truncated photo lacks."""
    for name, marker in (("x.jpg", "JPEG"), ("x.png", "PNG")):
        buffer = io.BytesIO()
        Image.fromarray(smooth()).save(buffer, marker)
        path = tmp_path / name
        path.write_bytes(buffer.getvalue() + b"\0" * 3_000_000)
        assert read_image(path).shape == (60, 90, 3) and image_size(path) == (60, 90)
        path.write_bytes(buffer.getvalue()[:-20] + b"\0" * 3_000_000)
        with pytest.raises(DataError, match="truncated"):
            image_size(path)


def test_a_marker_on_the_border_of_two_blocks_is_found(tmp_path):
    data = jpeg(smooth())
    start = data.index(b"\xff\xda")
    filled = data[:-2] + b"\0" * ((1 << 20) - (len(data) - 2 - start) - 1) + data[-2:]
    assert filled.index(b"\xff\xd9", start) - start == (1 << 20) - 1  # one byte of it in each block
    (tmp_path / "x.jpg").write_bytes(filled + b"\0" * 200_000)
    image_size(tmp_path / "x.jpg")


def test_little_of_a_large_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.jpg"
    data = jpeg(smooth())
    path.write_bytes(data[:-2] + b"\0" * 20_000_000 + data[-2:])
    taken = []

    class Counting(io.FileIO):
        def read(self, size=-1):
            taken.append(super().read(size))
            return taken[-1]

    monkeypatch.setattr(images, "open_file", Counting)
    image_size(path)
    assert 0 < sum(map(len, taken)) < 100_000


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_size_is_the_shape_that_is_read(suffix, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth()).save(tmp_path / f"x.{suffix}", exif=exif)
    assert image_size(tmp_path / f"x.{suffix}") == read_image(tmp_path / f"x.{suffix}").shape[:2]
    if suffix in ("jpg", "png"):
        assert image_info(tmp_path / f"x.{suffix}").orientation == orientation


def test_size_of_a_png_whose_exif_comes_last(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth()).save(tmp_path / "x.png")
    data, body = (tmp_path / "x.png").read_bytes(), b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "x.png").write_bytes(data[:-12] + chunk + data[-12:])
    assert image_size(tmp_path / "x.png") == read_image(tmp_path / "x.png").shape[:2]


def test_the_size_of_a_png_is_read_without_decoding(tmp_path, monkeypatch):
    Image.fromarray(smooth()).save(tmp_path / "x.png")

    def refuse(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", refuse)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", refuse)
    assert image_size(tmp_path / "x.png") == (60, 90)


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    data = jpeg(smooth(), orientation=6)
    at = data.index(b"Exif\0\0") + 6
    (tmp_path / "x.jpg").write_bytes(data[:at] + b"garbage!" + data[at + 8 :])
    assert image_size(tmp_path / "x.jpg") == read_image(tmp_path / "x.jpg").shape[:2] == (60, 90)


@pytest.mark.parametrize("suffix", ["webp", "bmp", "tiff"])
def test_other_formats_cut_short(suffix, tmp_path, capfd):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)).save(path)
    assert read_image(path).shape == (100, 100, 3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"x.{suffix}: (truncated|not an image)"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_header_that_claims_too_many_pixels(tmp_path):
    parts = (b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"\0"), b"IEND")
    chunks = [struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts]
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    for read in (read_image, image_size):
        with pytest.raises(
            DataError, match="x.png: 60000x60000 are too many pixels, the limit is 536 million; .* set SSDZOO_MAX_PIXELS"
        ):
            read(tmp_path / "x.png")


@pytest.mark.filterwarnings("error")
def test_the_size_of_a_huge_photo(tmp_path, monkeypatch):
    """Pillow alone would warn from 90 million pixels on, and refuse 180."""
    limit = Image.MAX_IMAGE_PIXELS
    header = struct.pack("<IiiHHIIiiII", 40, 25000, 20000, 1, 24, 0, 0, 0, 0, 0, 0)  # 500 million pixels
    (tmp_path / "x.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header)
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 25000, 20000, 8, 2, 0, 0, 0)
    parts = b"".join(struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in (chunk, b"IEND"))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    monkeypatch.setattr(images, "max_pixels", lambda: 500_000_000)
    for name in ("x.bmp", "x.png"):
        assert image_size(tmp_path / name) == (20000, 25000)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tiff", "webp"])
def test_one_limit_for_all_who_read_images(suffix, tmp_path, monkeypatch):
    Image.fromarray(smooth()).save(tmp_path / f"x.{suffix}")
    monkeypatch.setattr(images, "max_pixels", lambda: 90 * 60)
    assert read_image(tmp_path / f"x.{suffix}").shape == (60, 90, 3)
    monkeypatch.setattr(images, "max_pixels", lambda: 90 * 60 - 1)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match="90x60 are too many pixels"):
            read(tmp_path / f"x.{suffix}")


def test_the_memory_sets_the_limit(monkeypatch):
    assert 100_000_000 < images.memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    images.max_pixels.cache_clear()
    monkeypatch.setattr(images, "memory", lambda: 800_000_000)
    assert images.max_pixels() == 100_000_000
    images.max_pixels.cache_clear()
    monkeypatch.setattr(images, "memory", lambda: None)
    assert images.max_pixels() == 1 << 29
    images.max_pixels.cache_clear()
    monkeypatch.setenv("SSDZOO_MAX_PIXELS", "2000000000")
    assert images.max_pixels() == 1 << 30  # OpenCV's
    images.max_pixels.cache_clear()
    monkeypatch.setenv("SSDZOO_MAX_PIXELS", "many")
    with pytest.raises(CallError, match="SSDZOO_MAX_PIXELS is 'many'; expected"):
        images.max_pixels()
    monkeypatch.delenv("SSDZOO_MAX_PIXELS")
    images.max_pixels.cache_clear()


def test_names_that_are_no_text(tmp_path):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    for suffix, expected in (("bmp", True), ("gif", False)):
        Image.fromarray(smooth()).save(path, suffix)
        assert has_decoder(path) is expected
    with pytest.raises(DataError, match="not an image"):
        image_size(path)


def test_a_format_that_opencv_lacks_is_named_before_a_training(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "x.gif")
    for read in (read_image, image_size):
        with pytest.raises(
            DataError, match="x.gif: not an image.*; .*convert it to JPEG or PNG if it is an image of another format"
        ):
            read(tmp_path / "x.gif")


def test_a_jpeg_is_decoded_smaller_and_others_are_not(tmp_path):
    (tmp_path / "x.jpg").write_bytes(jpeg(smooth(), orientation=6))
    Image.fromarray(smooth()).save(tmp_path / "x.png")
    full, quarter = read_image(tmp_path / "x.jpg"), read_image(tmp_path / "x.jpg", 4)
    assert quarter.shape == (23, 15, 3)  # 90x60 over 4, rounded up
    blocks = full[:88].reshape(22, 4, 15, 4, 3).mean((1, 3))
    assert np.abs(quarter[:22] - blocks).max() < 12
    assert read_image(tmp_path / "x.png", 4).shape == (60, 90, 3)
