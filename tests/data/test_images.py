import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ssdzoo.data.images import image_size, read_image
from ssdzoo.errors import DataError


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


def test_gray_alpha_and_16_bit(tmp_path):
    cv2.imwrite(str(tmp_path / "gray.png"), smooth()[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([smooth()[..., ::-1], np.full((60, 90), 128, np.uint8)]))
    cv2.imwrite(str(tmp_path / "deep.png"), smooth()[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), np.repeat(smooth()[..., :1], 3, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), smooth())
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), smooth())


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
