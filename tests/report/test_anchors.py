import cv2
import numpy as np
from rich.console import Console

from ssdzoo.anchors.levels import Level
from ssdzoo.anchors.objects import collect_objects
from ssdzoo.anchors.propose import with_shapes
from ssdzoo.anchors.recall import recall_table
from ssdzoo.data.record import Dataset, Record
from ssdzoo.measure.anchor_fit import Fit
from ssdzoo.preset import Preset
from ssdzoo.report.anchor_picture import CENTERS, COVERED, MATCHED, MISSED, SHAPES, draw_fit
from ssdzoo.report.anchors import print_fit

LEVELS = [Level((8, 16), np.array([[20.0, 20]]), (25, 25)), Level((2, 4), np.array([[90.0, 90], [60, 120]]), (100, 100))]


def made(folder, boxes, size=(100, 200)):
    """A Fit on one white image, whose objects at the input of 200x400 are twice as large, and on an empty one."""
    cv2.imwrite(str(folder / "a.png"), np.full((*size, 3), 255, np.uint8))
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    no = np.zeros(len(boxes), bool)
    empty = Record(folder / "b.png", boxes[:0], np.zeros(0, np.int32), no[:0], no[:0], *size)
    records = [empty, Record(folder / "a.png", boxes, np.arange(len(boxes), dtype=np.int32) % 2, no, no, *size)]
    preset = Preset("[red]model", "plain", (200, 400), (1, 2, 3), ((1,), (1,)))
    objects = collect_objects(records, (200, 400))
    levels = LEVELS, with_shapes(LEVELS, [[12.0], [80.0]], [[1.0], [2.0]])
    tables = tuple(recall_table(objects, ["ant", "[bee]"], each) for each in levels)
    return Fit(Dataset(["ant", "[bee]"], records, []), objects, (preset, preset), levels, tables)


def count(picture, color):
    return int((picture == color).all(axis=2).sum())


def test_the_picture_shows_each_map_before_and_after(tmp_path):
    fit = made(tmp_path, [[52, 2, 98, 48], [3.25, 28.25, 9.25, 34.25], [60, 60, 66, 66]])
    picture = draw_fit(fit)
    panel = picture[: picture.shape[0]]
    assert panel.shape[1] == 2 * (700 + 6) + 6 and picture.dtype == np.uint8
    for color in (COVERED, MISSED, MATCHED, SHAPES, CENTERS):
        assert count(picture, color) > 400  # more than the legend's square
    half = picture.shape[0] // 2 + 20
    assert count(picture[100:half], MISSED) > count(picture[half:], MISSED) > 0


def test_a_picture_of_one_map_is_as_wide_as_its_legend_needs(tmp_path):
    fit = made(tmp_path, [[52, 2, 98, 48]])
    one = Fit(fit.dataset, fit.objects, fit.presets, tuple(levels[:1] for levels in fit.levels), fit.tables)
    assert draw_fit(one).shape[1] == 712


def test_tables(tmp_path, capsys):
    fit = made(tmp_path, [[52, 2, 98, 48], [3.25, 28.25, 9.25, 34.25], [60, 60, 66, 66]])
    print_fit(fit, "[red]data", "train", Console(width=120, color_system=None))
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "[red]data, split train: 2 images, 3 objects, stretched to 400x200"
    assert shown[1] == "now: 144 anchors of [red]model; proposed: 136"
    lines = [line.split() for line in shown]
    rows = {" ".join(line[:2]): line for line in lines if line}
    assert rows["all objects"][2:4] == ["3", "33.3%"]
    assert rows["[bee] 1"][2] == "0.0%"
    assert rows["8x16 25.0"][2:5] == ["1", "2", "0.0%"] and rows["8x16 25.0"][-1] == "12x12"
    assert rows["2x4 100.0"][2:5] == ["2", "1", "100.0%"] and rows["2x4 100.0"][-1] == "113x57"
    assert any(line[:3] == ["2", "objects", "(66.7%)"] for line in lines)
    assert "objects without an anchor at IoU 0.5: 2 now, 1 with the proposed ones" in shown
    worst = next(line for line in lines if line and line[0] == f"{tmp_path}/a.png:")
    assert worst[1] in ("ant", "[bee]") and "IoU" in worst
