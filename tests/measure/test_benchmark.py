import json

import cv2
import pytest

from ssdzoo.cli import main
from ssdzoo.demo.shapes import draw_jpegs
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.measure import benchmark as B
from ssdzoo.measure.timings import timings
from ssdzoo.zoo import find_preset


def test_int8_takes_onnxruntime():
    assert B.runtimes(["openvino", "mxnet"]) == ["openvino", "mxnet"]
    assert B.runtimes(["openvino", "onnxruntime", "mxnet"])[3:] == ["openvino-int8", "onnxruntime-int8"]


def test_percentiles_over_all_rounds():
    results = [
        {"net": [0.001 * i for i in range(1, 51)], "image": [0.5], "images_per_s": 2.0, "version": "x 1"},
        {"net": [0.001 * i for i in range(51, 102)], "image": [0.7], "images_per_s": 4.0, "version": "x 1"},
    ]
    row = B._row("x", 1, results)
    assert row["net_ms"] == {"p50": 51.0, "p90": 91.0, "p99": 100.0}
    assert row["image_ms"]["p50"] == 600.0 and row["images_per_s"] == 3.0


def test_runtimes_take_turns(monkeypatch):
    turns = []

    def measure(task):
        turns.append((task.runtime, task.batch))
        return {"net": [1.0], "image": [1.0], "images_per_s": 1.0, "version": task.runtime}

    monkeypatch.setattr(B, "_measure_apart", measure)
    subject = B.Subject("t", "p", "ssd_300_vgg16_atrous_voc")
    rows = B.benchmark(subject, ["a.jpg"], ["mxnet", "openvino"], (1, 8), rounds=2, against_gluoncv=False)
    assert turns == [("mxnet", 1), ("mxnet", 8), ("openvino", 1), ("openvino", 8)] * 2 and len(rows) == 4


def test_what_gluoncv_does_not_know_is_measured_without_it(monkeypatch):
    pytest.importorskip("gluoncv")
    subject = B.Subject("t", "p", "ssd_300_mobilenet0.25_s8_custom")
    assert B._measure(B.Task(subject, B.GLUONCV, 1, [])) is None
    answers = {B.GLUONCV: None, "mxnet": {"net": [1.0], "image": [1.0], "images_per_s": 1.0, "version": "m"}}
    turns = []
    monkeypatch.setattr(B, "_measure_apart", lambda task: turns.append(task.runtime) or answers[task.runtime])
    rows = B.benchmark(subject, ["a.jpg"], ["mxnet"], rounds=2)
    assert [row["runtime"] for row in rows] == ["mxnet"] and turns == [B.GLUONCV, "mxnet", "mxnet"]


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.long)])  # a process for each measurement
def test_on_the_command_line(apart, capsys, monkeypatch):
    pytest.importorskip("gluoncv")
    if not apart:
        monkeypatch.setattr(B, "_measure_apart", lambda task: B._measure(B.Task.from_json(task.to_json())))
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", "ssd_300_mobilenet0.25_custom", "--backends", "mxnet", "--count", "2", "--rounds", "1", "--json"])
    assert exit.value.code == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["runtime"] for row in rows] == ["gluoncv", "mxnet"]
    kept = timings([find_preset("ssd_300_mobilenet0.25_custom")])["ssd_300_mobilenet0.25_custom"]
    assert kept["mxnet"]["image_ms"] == rows[1]["image_ms"]["p50"]
    for row in rows:
        assert 0 < row["net_ms"]["p50"] <= row["net_ms"]["p99"] and row["images_per_s"] > 0


def test_int8_is_made_once_and_measured_as_what_it_is(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(B, "_measure_apart", B._measure)
    subject = B.find_subject("ssd_300_mobilenet0.25_voc", tmp_path)
    assert (subject.name, subject.trained) == ("ssd_300_mobilenet0.25_voc", False)
    chosen = ["onnxruntime", "onnxruntime-int8"]
    rows = B.benchmark(subject, B.list_jpegs(draw_jpegs(tmp_path), 2), chosen, rounds=1, against_gluoncv=False)
    assert [row["runtime"] for row in rows] == ["onnxruntime", "onnxruntime-int8"]
    assert [row["version"].endswith(" int8") for row in rows] == [False, True]


def test_an_exported_model_is_measured_as_it_is(tmp_path, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    run = tmp_path / "run"
    run.mkdir()
    table, params, *_ = B.find_subject("ssd_300_mobilenet0.25_custom", run)
    export_onnx(table, tmp_path / "x.onnx", params)
    arguments = ["--count", "1", "--rounds", "1", "--json"]
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", str(tmp_path / "x.onnx"), "--backends", "onnxruntime", *arguments])
    assert exit.value.code == 0
    assert [row["runtime"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["onnxruntime"]
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", str(tmp_path / "x.onnx"), "--backends", "mxnet"])
    assert exit.value.code == 2
    expected = "no backend 'mxnet' for an .onnx; there are onnxruntime, openvino, onnxruntime-int8, openvino-int8"
    assert expected in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--backends", "tensorflow"], "no backend 'tensorflow'; there are mxnet, onnxruntime, openvino"),
        (["--batch", "1,x"], "--batch 1,x: expected numbers"),
        (["--batch", "0"], "--batch 0: expected numbers"),
    ],
)
def test_wrong_calls(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["benchmark", "ssd_300_mobilenet0.25_custom", *arguments])
    assert exit.value.code == 2 and message in capsys.readouterr().err


def test_images(tmp_path):
    with pytest.raises(CallError, match="no JPEG files"):
        B.list_jpegs(tmp_path, 3)
    drawn = B.list_jpegs(draw_jpegs(tmp_path), 10)
    assert len(drawn) == 10 and drawn[0] == drawn[8] and cv2.imread(str(drawn[0])).shape == (480, 640, 3)
    assert B.list_jpegs(tmp_path, 2) == drawn[:2]


def test_a_failed_measurement_says_why(tmp_path):
    with pytest.raises(SSDZooError, match="the measurement of mxnet failed: .*no.toml"):
        B.benchmark(B.Subject(tmp_path / "no.toml", tmp_path / "no.params"), ["a.jpg"], ["mxnet"])
