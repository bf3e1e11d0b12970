import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.errors import CallError
from ssdzoo.report.pictures import PALETTE, save_image
from ssdzoo.report.samples import sample_grid
from tests.data.formats.written import write_csv


@pytest.fixture
def gray(tmp_path):
    """Records of gray images, each with one object from a quarter to a half."""
    for name in "ab":
        save_image(tmp_path / f"{name}.png", np.full((80, 80, 3), 128, np.uint8))
    rows = ["a.png,20,20,40,40,cat", "b.png,20,20,40,40,dog"]
    (tmp_path / "train.csv").write_text("\n".join(["image,xmin,ymin,xmax,ymax,class", *rows]))
    return load_dataset(tmp_path, "train")


def test_boxes_are_where_their_objects_are(gray):
    grid = sample_grid(gray.records, gray.names, 2, (300, 300), "none")
    top = np.flatnonzero((grid == 128).all(2).any(1)).min()  # below the legend
    seen = []
    for left in (6, 412):
        cell = grid[top : top + 400, left : left + 400]
        color = next(c for c in PALETTE[:2] if (cell == c).all(2).any())
        rows, columns = np.nonzero((cell == color).all(2))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (100, 200, 100, 200)
        assert (cell[110:190, 110:190] == 128).all() and (cell[:95] == 128).all()
        seen.append(color)
    assert sorted(seen) == sorted(PALETTE[:2])
    assert all((grid[:top] == color).all(2).any() for color in seen)


def test_the_same_seed_draws_the_same(gray):
    draw = [sample_grid(gray.records, gray.names, 5, (96, 128), seed=seed) for seed in (1, 1, 2)]
    assert (draw[0] == draw[1]).all() and (draw[0] != draw[2]).any()
    assert draw[0].shape[1] == 5 * 406 + 6


def test_colors_that_stand_for_two_classes_get_tags(tmp_path):
    (tmp_path / "d").mkdir()
    write_csv(tmp_path / "d")
    records = load_dataset(tmp_path / "d", "train").records
    names = ["ant", *(f"c{i}" for i in range(12))]
    for record in records:
        record.class_ids[:] = np.arange(len(record.class_ids)) * 12  # ids 0 and 12 have one color
    records = [r for r in records if len(r.class_ids) == 2]
    plain = sample_grid(records, names, 1, (64, 128), "none")
    assert plain.shape[0] < 200 + 60  # no legend


def test_wrong_calls(gray):
    with pytest.raises(CallError, match="no augmentation 'wild'; there are ssd, light, none"):
        sample_grid(gray.records, gray.names, 1, (64, 64), "wild")
    with pytest.raises(CallError, match="cannot show 0 samples of 2 images"):
        sample_grid(gray.records, gray.names, 0, (64, 64))
    with pytest.raises(CallError, match="cannot show 4 samples of 0 images"):
        sample_grid([], gray.names, 4, (64, 64))
