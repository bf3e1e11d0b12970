"""The command line as a user meets it, from a data set to a picture."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.errors import CallError
from tests.command import ssdzoo, ssdzoo_process
from tests.data.formats.voc_folder import write_voc, xml
from tests.networks import small_network
from tests.shared import shared_path
from tests.train.jobs import TABLE


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set, and a run on it."""
    folder = tmp_path_factory.mktemp("cli")
    write_shapes(folder / "data", 8, 2, 3)
    (folder / "table.toml").write_text(TABLE)
    arguments = (
        folder / "table.toml",
        folder / "data",
        "--out",
        folder / "run",
        "--epochs",
        2,
        "--batch-size",
        4,
        "--base-weights",
        "none",
    )
    _, shown = ssdzoo_process("train", *arguments)
    assert "split train: 8 images" in shown and "epoch 2/2" in shown and "mAP" in shown
    return folder


def test_convert(tmp_path):
    small_network().save_parameters(str(tmp_path / "old.params"))
    call = ("convert", tmp_path / "old.params", tmp_path / "new.params", "--model", "ssd_300_mobilenet0.25_custom")
    out, _ = ssdzoo(*call, "--classes", "a, b,c")
    lines = out.splitlines()
    assert lines[0] == "ssd_300_mobilenet0.25_custom, 3 classes: 205 parameters, all shapes fit; 0 renamed"
    digest = hashlib.sha256((tmp_path / "new.params").read_bytes()).hexdigest()
    assert lines[2] == f"{tmp_path}/new.params  sha256 {digest}"
    _, shown = ssdzoo(*call, status=2)
    assert "new.params is there already" in shown
    assert json.loads(ssdzoo(*call, "--force", "--json")[0])["target_hash"] == digest
    _, shown = ssdzoo("convert", tmp_path / "none.params", tmp_path / "x.params", "--model", "ssd_300_vgg16_atrous_voc", status=1)
    assert shown == f"ssdzoo: {tmp_path}/none.params: no such file\n"


def test_help_and_version():
    assert ssdzoo_process("--version")[0].startswith("ssdzoo 0.")
    out, _ = ssdzoo("--help")
    for verb in ("models", "quickstart", "train", "eval", "export", "predict", "convert", "compare"):
        assert verb in out
        assert "--help" in ssdzoo(verb, "--help")[0]


def test_evaluation(trained):
    out, _ = ssdzoo("eval", trained / "run", trained / "data")
    assert out.split()[:2] == ["class", "AP"] and out.split()[-2] == "mAP"
    value = json.loads(ssdzoo("eval", trained / "run", trained / "data", "--split", "val", "--metric", "voc12", "--json")[0])
    assert value["split"] == "val" and value["metric"] == "voc12" and len(value["AP"]) == 5
    assert list(value)[:3] == ["model", "data", "split"] and value["counts"]["images"] == 2
    assert (trained / "run" / "eval-test" / "pr.png").is_file()  # a run keeps its evaluations
    assert [file["path"] for file in value["model_files"]] == [str(trained / "run" / n) for n in ("best.params", "model.toml")]
    digest = hashlib.sha256((trained / "run" / "best.params").read_bytes()).hexdigest()
    assert all(digest in (trained / "run" / page).read_text() for page in ("report.html", "eval-test/report.html"))
    assert json.loads((trained / "run" / "eval-val" / "eval.json").read_text()) == value


def test_evaluation_with_each_backend(trained, tmp_path):
    """The same mAP, of a run and of an exported .onnx, for which mxnet is not even imported."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    ssdzoo("export", trained / "run", "--out", tmp_path, "--format", "onnx")
    call = ("eval", trained / "run", trained / "data", "--json")
    expected = json.loads(ssdzoo(*call)[0])
    assert expected["runtime"] == "mxnet 1.9.1" and expected["counts"]["detections"] > 50
    value = json.loads(ssdzoo(*call, "--backend", "onnxruntime", "--out", tmp_path / "out")[0])
    assert value["runtime"].startswith("onnxruntime") and value["mAP"] == pytest.approx(expected["mAP"], abs=1e-3)
    assert value["counts"]["detections"] == pytest.approx(expected["counts"]["detections"], abs=3)
    code = "import sys; sys.modules['mxnet'] = None\nfrom ssdzoo.cli import main; main()"
    command = [sys.executable, "-c", code, "eval", str(tmp_path / "run.onnx"), str(trained / "data"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mAP"] == pytest.approx(expected["mAP"], abs=1e-3)
    _, shown = ssdzoo("eval", tmp_path / "run.onnx", trained / "data", "--backend", "mxnet", status=2)
    assert shown == f"ssdzoo: {tmp_path}/run.onnx: mxnet runs no ONNX file; its backends are onnxruntime and openvino\n"


def test_evaluation_as_coco(trained, tmp_path):
    arguments = ("eval", trained / "run", trained / "data", "--metric", "coco", "--format", "coco-results", "--iou", 0.4)
    out, shown = ssdzoo(*arguments, "--score", 0.05, "--out", tmp_path / "out")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert [line[0] for line in lines[-12:]] == [
        "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large", "mAP",
    ]  # fmt: skip
    files = {"report.html", "eval.json", "pr.png", "confusion.png", "mistakes.png", "coco_results.json", "coco_annotations.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == files | {"mistakes"} and "coco_results.json" in shown
    value = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert value["confusion"]["score"] == 0.05 and value["confusion"]["iou"] == 0.4 and len(value["coco"]) == 12
    results = json.loads((tmp_path / "out" / "coco_results.json").read_text())
    assert {row["image_id"] for row in results} == {1, 2, 3} and {row["category_id"] for row in results} <= set(range(1, 6))


def test_evaluation_of_an_exported_model_writes_where_it_is_told(trained, tmp_path):
    ssdzoo("export", trained / "run", "--out", tmp_path / "export")
    value = json.loads(ssdzoo("eval", tmp_path / "export", trained / "data", "--json")[0])
    assert "mistakes" not in value and [p.suffix for p in (tmp_path / "export").iterdir() if p.is_dir()] == []
    _, shown = ssdzoo("eval", tmp_path / "export", trained / "data", "--format", "coco-results", status=2)
    assert shown == "ssdzoo: --format coco-results writes files: say where with --out\n"
    _, shown = ssdzoo("eval", tmp_path / "export", trained / "data", "--out", trained / "table.toml", status=2)
    assert shown == f"ssdzoo: --out {trained / 'table.toml'} is a file: name a folder\n"
    below = trained / "table.toml" / "out"
    _, shown = ssdzoo("eval", tmp_path / "export", trained / "data", "--out", below, status=2)
    assert shown == f"ssdzoo: --out {below}: {below.parent} is a file: name a folder\n"


def test_export_and_predict(trained):
    ssdzoo("export", trained / "run", "--out", trained / "export")
    assert sorted(p.name for p in (trained / "export").iterdir()) == ["run-0000.params", "run-symbol.json", "run.toml"]
    pictures = trained / "pictures"
    image = trained / "data" / "JPEGImages" / "test_0000.jpg"
    answers = [
        json.loads(ssdzoo("predict", model, image, image, "--out", pictures / str(i), "--score", 0.02, "--json")[0])
        for i, model in enumerate((trained / "run", trained / "export"))
    ]
    assert {p.name for p in (pictures / "0").iterdir()} == {"test_0000.jpg", "test_0000-2.jpg", "detections.json"}
    for answer in answers:
        assert [a["picture"] for a in answer] == ["test_0000.jpg", "test_0000-2.jpg"]
        assert (answer[0]["width"], answer[0]["height"]) == (320, 240)
        assert len(answer[0]["detections"]) > 0
    for a, b in zip(*(a[0]["detections"] for a in answers), strict=True):
        assert a["class"] == b["class"] and a["score"] == pytest.approx(b["score"], abs=1e-4)
        np.testing.assert_allclose(a["box"], b["box"], atol=0.05)
    assert json.loads((pictures / "1" / "detections.json").read_text()) == answers[1]


def test_exports_replace_each_other_only_if_told_to(trained, tmp_path):
    for name in ("a", "b"):  # of one table
        (tmp_path / name).mkdir()
        for file in ("model.toml", "best.params"):
            shutil.copy(trained / "run" / file, tmp_path / name)
        ssdzoo("export", tmp_path / name, "--out", tmp_path / "out")
    names = [f"{name}{end}" for name in "ab" for end in ("-0000.params", "-symbol.json", ".toml")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    (tmp_path / "out" / "a-0000.params").write_bytes(b"other")
    _, shown = ssdzoo("export", tmp_path / "a", "--out", tmp_path / "out", status=2)
    path = tmp_path / "out" / "a-symbol.json"
    assert shown == f"ssdzoo: {path} is there already: choose another folder with --out, or replace it with --force\n"
    assert (tmp_path / "out" / "a-0000.params").read_bytes() == b"other"
    ssdzoo("export", tmp_path / "a", "--out", tmp_path / "out", "--force")
    assert (tmp_path / "out" / "a-0000.params").stat().st_size > 1000
    for out in (tmp_path / "out", tmp_path / "out" / "x.onnx"):
        (tmp_path / "out" / ("a.onnx" if out.is_dir() else out.name)).write_bytes(b"other")
        _, shown = ssdzoo("export", tmp_path / "a", "--out", out, "--format", "onnx", status=2)
        assert ".onnx is there already" in shown


def test_resume(trained):
    arguments = ("train", trained / "table.toml", trained / "data", "--out", trained / "run")
    _, shown = ssdzoo(*arguments, status=2)
    assert "holds a training already" in shown and len(shown.splitlines()) == 1
    _, shown = ssdzoo(*arguments, "--epochs", 3, "--resume")  # the batch size is that of the run
    assert "epoch 3/3" in shown and "epoch 2/3" not in shown
    assert len((trained / "run" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (("train", "ssd_300_mobilenet0.25_costum", "DATA"), 2, "do you mean 'ssd_300_mobilenet0.25_custom'"),
        (("train", "ssd_300_mobilenet0.25_custom", "nowhere"), 1, "nowhere: no such data set"),
        (("train", "ssd_300_mobilenet0.25_custom", "DATA", "--split", "testing"), 1, "no split 'testing'; there are"),
        (("train", "ssd_300_mobilenet0.25_custom", "DATA", "--gpus", "0"), 1, "mxnet-cu117"),
        (("train", "ssd_300_mobilenet0.25_custom", "DATA", "--gpus", "x"), 2, "expected different numbers"),
        (("train", "ssd_300_mobilenet0.25_custom", "DATA", "--epochs", "0"), 2, "--epochs"),
        (("train", "ssd_300_mobilenet0.25_custom", "DATA", "--epoch", "3"), 2, "No such option"),
        (
            ("train", "ssd_300_mobilenet0.25_custom", "DATA", "--base-weights", "none.params"),
            1,
            "--base-weights none.params: no such file",
        ),
        (("eval", "RUN", "DATA", "--split", "nope"), 1, "no split 'nope'"),
        (("eval", "RUN", "DATA", "--metric", "coc"), 2, "no metric 'coc': there are voc07, voc12, coco; do you mean 'coco'?"),
        (
            ("eval", "RUN", "DATA", "--format", "tfrecord"),
            2,
            "there are voc, coco, yolo, recordio, sagemaker, cvat, json, csv, labelme, supervisely, kitti, coco-results",
        ),
        (("eval", "RUN", "DATA", "--format", "voc", "--format", "csv"), 2, "--format voc and csv: the data have one format"),
        (("eval", "RUN", "DATA", "--iou", "1.5"), 2, "--iou"),
        (("eval", "RUN", "DATA", "--backend", "tensorrt"), 2, "no backend 'tensorrt'; there are auto, mxnet, onnxruntime"),
        (("eval", "nothing", "DATA"), 2, "no model 'nothing'"),
        (("export", "RUN", "--format", "tflite"), 2, "no format 'tflite'"),
        (("predict", "RUN", "none.jpg"), 1, "none.jpg: no such image or folder"),
        (("predict", "RUN", "none.jpg", "--precision", "f8"), 2, "no precision 'f8'; there are auto, f32, bf16, f16"),
        (("predict", "RUN", "none.jpg", "--precision", "bf16"), 2, "precision bf16 is for openvino and torch: name one as"),
        (
            ("predict", "RUN", "none.jpg", "--backend", "openvino", "--precision", "f16"),
            2,
            "precision f16 is for torch: name it as the backend",
        ),
        (("predict", "RUN", "none.jpg", "--mode", "throughput"), 2, "mode throughput is for openvino: name it as the backend"),
        (("predict", "runs/typo", "none.jpg"), 2, "runs/typo: no such run folder or exported model"),
        (("predict", "RUN/metrics.csv", "none.jpg"), 2, "metrics.csv: this file is no model; expected a preset's name"),
        (("check-data", "DATA", "--weights", "x.params"), 2, "--weights belongs to --model"),
        (("predict", "ssd_300_vgg16_atrous_custom", "none.jpg"), 1, "no published weights"),
    ],
)
def test_wrong_calls_are_told_in_a_line_or_two(arguments, status, message, trained, tmp_path):
    places = {"DATA": trained / "data", "RUN": trained / "run", "RUN/metrics.csv": trained / "run" / "metrics.csv"}
    out = () if arguments[0] in ("eval", "check-data") else ("--out", tmp_path / "out")
    _, shown = ssdzoo(*(places.get(a, a) for a in arguments), *out, status=status)
    assert message in " ".join(shown.split())
    if "Usage" not in shown:
        assert len(shown.splitlines()) <= 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "ssd_300_mobilenet0.25_custom", "DATA"), ("export", "RUN"), ("predict", "RUN", "DATA"),
        ("check-data", "DATA", "--show", 2),
    ],
)  # fmt: skip
def test_a_file_where_a_folder_should_be_written(arguments, trained, tmp_path):
    (tmp_path / "out").write_text("kept")
    places = {"DATA": trained / "data", "RUN": trained / "run"}
    _, shown = ssdzoo(*(places.get(a, a) for a in arguments), "--out", tmp_path / "out", status=2)
    assert "out is a file: name a folder" in " ".join(shown.split()) and (tmp_path / "out").read_text() == "kept"


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDZOO_DEBUG", "")  # which --debug sets
    with pytest.raises(CallError, match="nothing"):
        ssdzoo("--debug", "eval", "nothing", tmp_path)


def test_ctrl_c_while_an_object_is_deleted(monkeypatch):
    class Deleted:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def work(*_):
        Deleted()
        time.sleep(5)

    monkeypatch.setattr("ssdzoo.cli.models.list_models", work)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
    try:
        assert ssdzoo("models", status=130)[1] == "ssdzoo: stopped\n"
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_truncated_image_stops_a_training_with_its_name(tmp_path):
    data = write_voc(tmp_path / "data", {s: xml([("cat", 9, 9, 50, 50)]) for s in "abcd"}, {"train": list("abc"), "val": ["d"]})
    path = data / "JPEGImages" / "b.jpg"
    path.write_bytes(path.read_bytes()[:500])
    (tmp_path / "table.toml").write_text(TABLE)
    _, shown = ssdzoo("train", tmp_path / "table.toml", data, "--out", tmp_path / "run", "--base-weights", "none", status=1)
    assert shown.strip() == f"ssdzoo: {path}: truncated, the end of the image is missing; replace it, or take it out of the data"
    assert not (tmp_path / "run").exists()


def test_images_are_not_overwritten_by_their_pictures(trained, tmp_path):
    cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((50, 50, 3)))
    before = (tmp_path / "x.jpg").read_bytes()
    _, shown = ssdzoo("predict", trained / "run", tmp_path / "x.jpg", "--out", tmp_path, status=2)
    assert "choose another --out" in shown and (tmp_path / "x.jpg").read_bytes() == before


def test_real_photos_with_real_base_weights(tmp_path):
    (tmp_path / "table.toml").write_text(TABLE)
    base = shared_path("weights/mobilenet0.25-imagenet.params")
    data = shared_path("data/bccd")
    _, shown = ssdzoo("train", tmp_path / "table.toml", data, "--out", tmp_path / "run", "--epochs", 1, "--base-weights", base,
                      "--split", "val", "--val-split", "none")  # fmt: skip
    assert "BloodImage_00338.xml: object 13 (RBC): box (504, 337, 504, 337) has no width or no height: left out" in shown
    assert f"backbone from {base}" in shown
    photos = sorted((data / "JPEGImages").glob("*.jpg"))[:2]
    ssdzoo("predict", tmp_path / "run", *photos, "--out", tmp_path / "out", "--score", 0.01)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2
