import json
import subprocess
import sys

import numpy as np
import pytest

import ssdzoo
from ssdzoo.anchors.recall import mean_missed, recall_table
from ssdzoo.anchors.table import fitted_preset, table_text, write_table
from ssdzoo.data import load_dataset
from ssdzoo.data.record import Dataset, Record
from ssdzoo.errors import DataError
from ssdzoo.measure.anchor_fit import fit_anchors
from ssdzoo.nn.anchors import network_levels
from ssdzoo.preset import read_preset
from ssdzoo.zoo import find_preset
from tests.shared import BCCD, shared_path

NAMES = ["ant", "bee"]


def dataset(count=30, seed=0):
    """Flat ants, and few bees of 10x20 pixels, in images of 200x400."""
    rng = np.random.default_rng(seed)
    records = []
    for i in range(count):
        side = np.array([[120, 30], [110, 28], [90, 24]] + [[20, 10]] * (i % 3 == 0), np.float32)
        corner = rng.uniform(0, (400, 200) - side).astype(np.float32)
        ids = np.array([0] * 3 + [1] * (len(side) - 3), np.int32)
        no = np.zeros(len(side), bool)
        records.append(Record(f"{i}.png", np.concatenate([corner, corner + side], axis=1), ids, no, no, 200, 400))
    return Dataset(NAMES, records, [])


def fit_of(name, data, *arguments):
    preset = find_preset(name)
    return fit_anchors(data, preset, network_levels(ssdzoo.get_model(preset.with_classes(["a"]))), *arguments)


def test_a_written_table_builds_the_network_that_was_measured(tmp_path):
    fit = fit_of("ssd_300_mobilenet0.25_s8_custom", dataset())
    assert fit.tables[0]["all"]["0.5"] == 0.96 and fit.tables[1]["all"]["0.5"] >= 0.98
    path = tmp_path / "fitted.toml"
    write_table(path, fit.presets[1], ["A comment", "on a\npath\udcff"])
    assert path.read_text("utf-8").startswith("# A comment\n# on a?path?\nbackbone = ")
    read = read_preset(path)
    assert read == fitted_preset(fit.presets[0], fit.presets[1].sizes, fit.presets[1].ratios, "fitted")
    net = ssdzoo.get_model(path, classes=NAMES)
    assert [g.num_depth for g in net.anchor_generators] == [len(s) for s in read.sizes]
    assert recall_table(fit.objects, NAMES, network_levels(net)) == fit.tables[1]


def test_only_what_is_not_usual_is_written():
    fit = fit_of("ssd_300_mobilenet1.0_lite_custom", dataset(), 6)
    text = table_text(fit.presets[1])
    fields = [line.split(" = ")[0] for line in text.splitlines() if " = " in line]
    assert fields == [
        "backbone",
        "base_size",
        "sizes",
        "ratios",
        "features",
        "filters",
        "predictor_kernel",
        "min_depth",
        "reduce_ratio",
    ]
    assert "base_size = 300\n" in text


def shapes_of(fit):
    return sum(map(len, fit.presets[1].sizes))


def test_few_shapes_by_default():
    data = dataset(40)
    for i, record in enumerate(data.records):  # of many shapes, 20 to 40 pixels high in an input of 300
        record.boxes[:] = [[0, 0, (90 + i) * 4 / 3, (20 + i % 20) * 2 / 3]]
    fit = fit_of("ssd_300_mobilenet0.25_s8_custom", data)
    before, after = fit.tables
    assert mean_missed(before) > 0.3 and mean_missed(after) <= 0.05 and after["anchors"] <= before["anchors"]
    assert shapes_of(fit) == 6 + 4


@pytest.mark.parametrize("limit, miss, tried, taken", [
    (10_000, 0.0, [10, 14, 18, 22], 22), (1500, 0.0, [10, 14, 18], 14), (10_000, 0.9, [10, 14, 18, 22, 26, 30], 30),
    (800, 0.0, [10, 9, 8], 8), (100, 0.0, [10, 9, 8, 7, 6], 6),
])  # fmt: skip
def test_more_shapes_where_few_miss_too_much_and_fewer_where_there_would_be_too_many(limit, miss, tried, taken, monkeypatch):
    """22 of them cover all but what nothing covers; each shape of more than 6 is 100 anchors."""
    preset, counts = find_preset("ssd_300_mobilenet0.25_s8_custom"), []
    levels = network_levels(ssdzoo.get_model(preset.with_classes(["a"])))
    assert [len(level.shapes) for level in levels] == [4, 6, 6, 6, 4, 4]

    def proposed(objects, levels, count, seed):
        counts.append(count)
        return [], []

    def table(objects, names, levels):
        if not counts:
            return {"anchors": limit}
        return {"classes": {"ant": {"0.5": min(count_share(), 1 - miss)}}, "anchors": 100 * counts[-1] if counts[-1] > 6 else 1}

    def count_share():
        return 0.5 + counts[-1] / 48

    monkeypatch.setattr("ssdzoo.measure.anchor_fit.propose", proposed)
    monkeypatch.setattr("ssdzoo.measure.anchor_fit.recall_table", table)
    monkeypatch.setattr("ssdzoo.measure.anchor_fit.with_shapes", lambda *_: len(counts))
    monkeypatch.setattr("ssdzoo.measure.anchor_fit.fitted_preset", lambda *_: counts[-1])
    fit = fit_anchors(dataset(3), preset, levels)
    assert counts == tried and fit.presets[1] == taken


def test_objects_without_an_anchor():
    fit = fit_of("ssd_300_mobilenet0.25_custom", dataset(), 8)
    found = fit.uncovered()
    assert len(found) == 100 - 100 * fit.tables[0]["all"]["0.5"] > 0
    assert fit.missed == (len(found), round(100 - 100 * fit.tables[1]["all"]["0.5"]))
    assert [row["iou"] for row in found] == sorted(row["iou"] for row in found) and found[-1]["iou"] <= 0.5
    records = {str(record.image): record for record in fit.dataset.records}
    for row in found:
        record = records[row["file"]]
        matches = np.abs(record.boxes - np.array(row["box"])).max(axis=1) < 0.06
        assert matches.any() and row["class"] == NAMES[record.class_ids[matches.argmax()]]
    assert fit.too_small() == 10  # the bees: 15x15 at a step of 15.8
    plain = json.loads(json.dumps(fit.to_dict()))
    assert plain["uncovered"] == found and plain["after"]["classes"]["bee"]["objects"] == 10


def test_no_objects():
    empty = Dataset(NAMES, [Record("a.png", *(part[:0] for part in (r.boxes, r.class_ids, r.difficult, r.crowd)), 9, 9)
                            for r in dataset(1).records], [])  # fmt: skip
    with pytest.raises(DataError, match="no objects in the 1 images, so there is nothing to fit anchors to"):
        fit_of("ssd_300_mobilenet0.25_custom", empty)


def test_blood_cells():
    """Before: 33 of 44, measured by brute force over all 2,268 anchors."""
    before, after = fit_of("ssd_300_mobilenet0.25_custom", load_dataset(BCCD, "train")).tables
    assert before["all"]["objects"] == 44 and before["all"]["0.5"] == 0.75 and after["all"]["0.5"] > 0.9
    assert {name: row["0.5"] for name, row in before["classes"].items()} == {"Platelets": 0.4286, "RBC": 0.8182, "WBC": 0.75}
    assert after["anchors"] <= before["anchors"] == 2268
    for name, row in before["classes"].items():
        assert after["classes"][name]["IoU"] > row["IoU"]


def test_many_blood_cells():
    """Before: measured by brute force over all 2,268 anchors. After: what docs/anchors.md tells."""
    fit = fit_of("ssd_300_mobilenet0.25_custom", load_dataset(shared_path("data/bccd"), "train"))
    before, after = fit.tables
    assert before["all"]["objects"] == 2804 and before["all"]["0.5"] == 0.7767 and after["all"]["0.5"] > 0.95
    assert after["anchors"] <= before["anchors"] == 2268
    for name, row in before["classes"].items():
        assert after["classes"][name]["0.5"] > row["0.5"]


def test_nothing_of_it_needs_mxnet():
    code = """
import sys
sys.modules["mxnet"] = sys.modules["gluoncv"] = None
import numpy as np
import ssdzoo.report.anchor_picture, ssdzoo.report.anchors
from ssdzoo.measure.anchor_fit import fit_anchors
from ssdzoo.anchors.levels import Level
from ssdzoo.anchors.table import table_text
from ssdzoo.data.record import Dataset, Record
from ssdzoo.zoo import find_preset
record = Record("a.png", np.float32([[0, 0, 30, 40]]), np.zeros(1, int), *np.zeros((2, 1), bool), 300, 300)
preset = find_preset("ssd_300_mobilenet0.25_custom")
levels = [Level((n, n), np.array([[300 / n, 300 / n]]), (300 / n, 300 / n)) for n in (19, 10, 5, 3, 2, 1)]
print(table_text(fit_anchors(Dataset(["a"], [record], []), preset, levels, 6).presets[1]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "    [30.0],\n    [60.0],\n    [100.0],\n    [150.0],\n    [300.0],\n]\nratios = [\n" in result.stdout
