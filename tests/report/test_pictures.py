import cv2
import numpy as np
import pytest

from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import PALETTE, draw_detections, picture_grid, save_image


def drawn(image, box, **kwargs):
    return draw_detections(image, Detections([box], [0.87], [1], ["cat", "dog"]), **kwargs)


def test_a_box_is_drawn_where_it_is():
    image = np.zeros((200, 200, 3), np.uint8)
    picture = drawn(image, [50, 80, 150, 170])
    for x, y in ((50, 120), (150, 120), (100, 170)):
        assert tuple(picture[y, x]) == PALETTE[1]
    assert (picture[100:160, 60:140] == 0).all() and (image == 0).all()
    tag = (picture == PALETTE[1]).all(2)[66:80, 50:94]
    assert tag.mean() > 0.4  # the filled tag above the box


@pytest.mark.parametrize("height, width", [(60, 60), (100, 900), (2500, 3500)])
@pytest.mark.parametrize("place", ["top left", "bottom right", "everything"])
def test_tags_stay_inside_the_image(height, width, place):
    box = {
        "top left": [0, 0, 30, 30],
        "bottom right": [width - 9, height - 9, width, height],
        "everything": [0, 0, width, height],
    }[place]
    image = np.full((height, width, 3), 128, np.uint8)
    picture = drawn(image, box)
    changed = np.flatnonzero((picture != 128).any(2).any(1))
    whitish = picture.min(axis=2) > 170  # small letters are smoothed, and never quite white
    assert picture.shape == image.shape and len(changed) and whitish.sum() > 20


def test_the_best_is_drawn_last():
    image = np.zeros((100, 100, 3), np.uint8)
    found = Detections([[20, 30, 80, 80]] * 2, [0.9, 0.5], [2, 0], ["a", "b", "c"])
    assert tuple(draw_detections(image, found)[80, 50]) == PALETTE[2]


def test_a_grid_keeps_proportions():
    wide, high = np.full((10, 40, 3), 50, np.uint8), np.full((40, 10, 3), 90, np.uint8)
    grid = picture_grid([wide, high, wide], columns=2, cell=(60, 80), gap=4)
    assert grid.shape == (2 * 64 + 4, 2 * 84 + 4, 3)
    rows, columns = np.nonzero((grid == 50).all(2))
    assert (rows.min(), rows[rows < 64].max(), columns.min(), columns.max()) == (24, 43, 4, 83)
    rows, columns = np.nonzero((grid == 90).all(2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (60, 15)


def test_saving(tmp_path):
    image = np.zeros((5, 6, 3), np.uint8)
    image[..., 0] = 250
    save_image(tmp_path / "new" / "x.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "x.png"))[..., ::-1], image)
    with pytest.raises(CallError, match=r"x\.gif: a picture is saved as \.png or \.jpg"):
        save_image(tmp_path / "x.gif", image)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.png"]


def test_captions_stand_below_their_cells():
    image = np.full((30, 40, 3), 50, np.uint8)
    plain = picture_grid([image] * 2, columns=2, cell=(60, 80))
    grid = picture_grid([image] * 2, columns=2, cell=(60, 80), captions=["Zelle", "x" * 99])
    assert grid.shape[0] > plain.shape[0] and (grid[:66] == plain[:66]).all()
    assert (grid[66:] < 100).any(2).sum() > 30


@pytest.mark.parametrize("image", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5, 3), np.uint8), [1]])
def test_what_is_no_image_is_refused(image, tmp_path):
    with pytest.raises(CallError, match=r"\(H, W, 3\) uint8"):
        draw_detections(image, Detections.empty(["a"]))
    with pytest.raises(CallError, match="uint8"):
        picture_grid([image], 1)
    with pytest.raises(CallError, match="uint8"):
        save_image(tmp_path / "a.png", image)
