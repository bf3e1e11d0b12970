"""The script that makes a data set of COCO's size, with a dozen images."""

import json

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.images import image_size
from tests.tools.scripts import load_script


@pytest.fixture
def script():
    return load_script("benchmark_data")


@pytest.mark.parametrize("polygons", [False, True])
def test_its_data_set_is_coco_s(polygons, script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SIDES", ((48, 64), (64, 48)))
    script.make_photos(tmp_path / "train2017", 12)
    file = tmp_path / "annotations" / "instances_train2017.json"
    script.write_annotations(file, 12, polygons)
    data, content = load_dataset(tmp_path, "train2017"), json.loads(file.read_text())
    assert len(data) == 12 and len(data.names) == 80 and data.problems == []
    assert sum(len(record.boxes) for record in data) == len(content["annotations"]) == 86
    assert [image_size(record.image) for record in data][:3] == [(48, 64), (64, 48), (48, 64)]
    assert {len(polygon) for row in content["annotations"] for polygon in row["segmentation"]} == ({44} if polygons else set())
