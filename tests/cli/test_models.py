"""`ssdzoo models`."""

import json
import re

import numpy as np

from ssdzoo.weights import write_params
from tests.command import ENVIRONMENT, ssdzoo
from tests.train.jobs import TABLE


def test_models():
    out, _ = ssdzoo("models", "*mobilenet1.0*custom")
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == [
        "ssd_300_mobilenet1.0_lite_custom", "ssd_300_mobilenet1.0_s8_custom",
        "ssd_320x512_mobilenet1.0_s8_custom", "ssd_512_mobilenet1.0_custom", "ssd_512_mobilenet1.0_s8_custom",
    ]  # fmt: skip
    assert out.splitlines()[-1] == "params and GMACs are those of 20 classes where the classes are yours"
    rows = json.loads(ssdzoo("models", "--json")[0])
    assert len(rows) == 49
    assert next(row for row in rows if row["name"] == "ssd_512_vgg16_atrous_voc") == {
        "name": "ssd_512_vgg16_atrous_voc",
        "backbone": "vgg16_atrous",
        "height": 512,
        "width": 512,
        "classes": 20,
        "parameters": 27188676,
        "macs": 90207908864,
        "cost_classes": 20,
        "measured": [],
    }


def test_models_in_narrow_terminals(monkeypatch):
    for columns, header in ((70, "name input classes params GMACs"), (100, "name backbone input classes params GMACs")):
        monkeypatch.setitem(ENVIRONMENT, "COLUMNS", str(columns))
        lines = ssdzoo("models", "*_lite_*")[0].splitlines()
        assert lines[0].split() == header.split() and len(lines) == 5 and max(map(len, lines)) <= columns
        assert lines[2].split()[-4:] == ["300x300", "yours", "5.8M", "1.15"]


def test_models_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(TABLE)
    line = ssdzoo("models", tmp_path / "mine.toml")[0].splitlines()[1]
    assert line.split()[0] == "mine" and line.split()[-2].endswith("M")
    _, shown = ssdzoo("models", "mobilenet", status=2)
    assert shown == "ssdzoo: no model matches 'mobilenet'; a pattern has stars, such as \"*mobilenet*\"\n"
    _, shown = ssdzoo("models", "ssd_300_vgg16_atrous_vo", status=2)
    assert "do you mean 'ssd_300_vgg16_atrous_voc'" in shown


def test_models_with_weights(tmp_path):
    (tmp_path / "mobilenet0.25-f0046a3d.params").write_bytes(b"damaged")
    write_params(tmp_path / "ssd_300_mobilenet0.25_voc-0a1b2c3d.params", {"x": np.zeros(3)})
    out, _ = ssdzoo("models", "*mobilenet0.25_[cv]*", "--weights", "--root", tmp_path)
    assert [line.split() for line in out.splitlines()[1:5]] == [
        ["ssd_300_mobilenet0.25_coco", "mobilenet0.25", "Keras,", "Apache-2.0"],
        ["ssd_300_mobilenet0.25_custom", "mobilenet0.25", "Keras,", "Apache-2.0"],
        ["ssd_300_mobilenet0.25_voc", "mobilenet0.25", "detector:", "other,", "on", "this", "machine"],
        ["Keras,", "Apache-2.0"],
    ]
    assert re.search(rf"{tmp_path}/mobilenet0.25-f0046a3d.params  damaged: its SHA-1 begins with \w{{8}}\n", out)
    assert out.splitlines()[-2].startswith("files of other projects, the preferred one first")
    assert out.splitlines()[-1] == "mobilenet0.25: mobilenet_2_5_224_tf_no_top.h5"
    assert f"{tmp_path}/ssd_300_mobilenet0.25_voc-0a1b2c3d.params  readable, not a published hash" in out
    rows = json.loads(ssdzoo("models", "*0.25_voc", "--weights", "--root", tmp_path, "--json")[0])
    assert rows[0]["model"] == [
        {"path": f"{tmp_path}/ssd_300_mobilenet0.25_voc-0a1b2c3d.params", "state": "other", "usable": True}
    ]
    assert rows[0]["starts"]["detector"] is None and rows[0]["starts"]["backbone"] == {
        "file": "mobilenet_2_5_224_tf_no_top.h5", "project": "Keras", "license": "Apache-2.0",
        "url": "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf_no_top.h5",
        "megabytes": None, "note": "ReLU6 and another padding", "here": None,
    }  # fmt: skip
    out, _ = ssdzoo("models", "*300_vgg16_atrous_coco", "--weights", "--root", tmp_path / "none")
    assert [line.split(maxsplit=2)[-1] for line in out.splitlines()[1:2]] == ["detector: torchvision, BSD-3-Clause, 143 MB"]
    assert f"no weights in {tmp_path}/none" in out
    (row,) = json.loads(ssdzoo("models", "*300_vgg16_atrous_coco", "--weights", "--json")[0])
    assert row["starts"]["detector"]["mAP"] == 25.1 and row["starts"]["backbone"]["top1"] == 71.592
    write_params(tmp_path / "resnet50_v1b-0a1b2c3d.params", {"x": np.zeros(3)})  # the classifier under a pyramid
    out, _ = ssdzoo("models", "*300_resnet50_fpn_voc", "--weights", "--root", tmp_path)
    assert out.splitlines()[1].split() == ["ssd_300_resnet50_fpn_voc", "resnet50_v1b", "other,", "on", "this", "machine"]


def test_models_with_weights_in_a_narrow_terminal(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")
    out, _ = ssdzoo("models", "--weights", "--root", tmp_path)
    rows = out.splitlines()[: out.splitlines().index(next(line for line in out.splitlines() if line.startswith("no weights in")))]
    assert rows[0].split() == ["name", "starts", "from"] and len(rows) == 51 and max(map(len, rows)) <= 80
    assert "ssd_512_resnet50_v1_custom           ONNX model zoo, Apache-2.0, 103 MB" in out
