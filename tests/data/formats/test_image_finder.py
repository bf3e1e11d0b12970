import pytest

from ssdzoo.data.formats.image_finder import ImageFinder, path_tails
from ssdzoo.errors import DataError
from tests.data.formats.exported import write_files


@pytest.mark.parametrize("text, tails", [
    ("a.jpg", ["a.jpg"]),
    ("./x//a.jpg", ["x/a.jpg", "a.jpg"]),
    ("/x/a.jpg", ["x/a.jpg", "a.jpg"]),
    ("../../x/y/../a.jpg", ["x/a.jpg", "a.jpg"]),
    (r"C:\x\a.jpg", ["x/a.jpg", "a.jpg"]),
    (r"\\server\x\a.jpg", ["server/x/a.jpg", "x/a.jpg", "a.jpg"]),
    ("s3://bucket/x/a.jpg", ["bucket/x/a.jpg", "x/a.jpg", "a.jpg"]),
    ("12:30.jpg", ["12:30.jpg"]),
    ("", []),
    ("..", []),
])  # fmt: skip
def test_ends_of_paths(text, tails):
    assert path_tails(text) == tails


@pytest.mark.parametrize("text, path", [
    ("b.jpg", "b.jpg"),
    ("a.jpg", "images/a.jpg"),
    ("/home/ann/day/a.jpg", "images/day/a.jpg"),  # the longest end, wherever it is
    ("s3://bucket/key/b.jpg", "b.jpg"),
    (r"C:\night\b.jpg", "b.jpg"),
    ("x/b.png", "b.jpg"),  # only the suffix differs
    ("http://host/caf%C3%A9.jpg", "images/caf\u00e9.jpg"),
])  # fmt: skip
def test_images_are_found_by_the_ends_of_their_paths(text, path, tmp_path):
    names = ["b.jpg", "images/a.jpg", "images/day/a.jpg", "images/caf\u00e9.jpg", "two/c.jpg", "two/c.png"]
    write_files(tmp_path, dict.fromkeys(names, 1))
    finder = ImageFinder([tmp_path, tmp_path / "images"])
    assert finder.find(text, "") == tmp_path / path == finder.find(text, "")


@pytest.mark.parametrize("text, message", [
    ("two/c.bmp", "t.csv: line 1: 'two/c.bmp' may be c.jpg or c.png in .*two: keep one of them"),
    ("z.jpg", "t.csv: line 1: .*/z.jpg: no such image; put it there, name the folder of the images with image_folder="),
    ("../z.jpg", "t.csv: line 1: '../z.jpg' leads out of"),
    ("/x/z.jpg", "t.csv: line 1: '/x/z.jpg' leads out of .*, and no image of its name is there; put it there, or name"),
    ("", "t.csv: line 1: '' names no image"),
])  # fmt: skip
def test_images_that_are_not_found(text, message, tmp_path):
    write_files(tmp_path, {"two/c.jpg": 1, "two/c.png": 1})
    with pytest.raises(DataError, match=message):
        ImageFinder([tmp_path]).find(text, "t.csv: line 1")


def test_two_paths_do_not_lead_to_one_image(tmp_path):
    write_files(tmp_path, {"a.jpg": 1})
    for texts in (["day/a.jpg", "night/a.jpg"], ["a.jpg", "night/a.jpg"], ["night/a.jpg", "a.jpg"]):
        finder = ImageFinder([tmp_path])
        finder.find(texts[0], "")
        with pytest.raises(DataError, match=f"'{texts[1]}' and '{texts[0]}' both lead to .*a.jpg; put the images into folders"):
            finder.find(texts[1], "")
    assert finder.find("./night/../night/a.jpg", "") == tmp_path / "a.jpg"
