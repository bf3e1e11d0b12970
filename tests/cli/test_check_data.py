"""`ssdzoo check-data`, and the other verbs on data of all formats, as a user meets them."""

import json

import cv2
import pytest

from ssdzoo import get_model
from tests.command import ssdzoo
from tests.data.formats.exported import write_files
from tests.data.formats.voc_folder import write_voc, xml
from tests.data.formats.written import WRITERS, write, yolo_lines
from tests.shared import BCCD
from tests.train.jobs import TABLE

CAT = ("cat", 11, 21, 31, 41)


@pytest.fixture
def bad(tmp_path):
    annotations = {f"i{n:02d}": xml([("cat", 1, 1, 900, 9), CAT]) for n in range(12)}
    return write_voc(tmp_path / "[red]data", annotations | {"x": xml([CAT, CAT])}, {"train": [*annotations, "x"]})


def test_a_summary(bad):
    out, err = ssdzoo("check-data", bad, status=1)
    lines = out.splitlines()
    assert err == "" and lines[0] == f"{bad}: voc, 1 class"
    assert lines[2].split() == ["split", "images", "objects", "without", "objects"] and lines[3].split() == [
        "train",
        "13",
        "14",
        "0",
    ]
    assert lines[6].split() == ["cat", "14", "100.0%", "13", "20-20-20", "20-20-20", "1.00-1.00-1.00"]
    assert "errors: box outside (12)" in lines and "  ... and 2 more (--json lists all)" in lines
    assert "warning: duplicated box (1)" in lines
    assert f"  {bad}/Annotations/i00.xml: object 1 (cat): box (1, 1, 900, 9) is outside of the 100x80 image" in lines
    assert lines[-1] == "12 errors, 1 warning: a training would fail, or learn something wrong"


def test_json_lists_all(bad):
    found = json.loads(ssdzoo("check-data", bad, "--json", "--workers", 1, status=1)[0])
    assert found["errors"] == 12 and found["warnings"] == 1 and len(found["problems"]) == 13
    assert found["problems"][0] == {
        "severity": "error",
        "kind": "box outside",
        "file": f"{bad}/Annotations/i00.xml",
        "message": "object 1 (cat): box (1, 1, 900, 9) is outside of the 100x80 image",
    }
    assert found["names"] == ["cat"] and found["formats"] == ["voc"] and found["anchors"] is None and found["picture"] is None


def test_blood_cells_with_anchors_and_a_picture(tmp_path):
    out, _ = ssdzoo("check-data", BCCD, "--model", "ssd_300_mobilenet0.25_custom", "--show", 5, "--out", tmp_path)
    assert "warning: degenerate box (1)" in out and "0 errors, 2 warnings: ready to train" in out
    row = next(line for line in out.splitlines() if line.startswith("Platelets") and line.count("%") == 3)
    assert row.split() == ["Platelets", "41.7%", "36.4%", "100.0%", "0.48"]
    assert "2,268 anchors of ssd_300_mobilenet0.25_custom" in out
    assert out.splitlines()[-1] == f"next: ssdzoo train ssd_300_mobilenet0.25_custom {BCCD} --out runs/bccd"
    picture = cv2.imread(str(tmp_path / "samples.png"))
    assert picture.shape[1] == 5 * 406 + 6 and f"5 augmented samples: {tmp_path}/samples.png" in out


def test_the_next_command_fits_the_data(tmp_path):
    boxes = {"b": ("b", 11, 21, 31, 41), "7": ("7", 41, 21, 61, 44), "bar": ("bar", 1, 35, 98, 40)}
    for names, model, flip in ((["b", "7"], "ssd_300_mobilenet0.25_s8_custom", " --flip none"), (["bar"], "auto", "")):
        root = write_voc(tmp_path / "x y" / names[0], {f"i{n}": xml([boxes[c] for c in names]) for n in range(9)}, {})
        last = ssdzoo("check-data", root, "--workers", 1)[0].splitlines()[-1]
        assert last == f"next: ssdzoo train {model} '{root}' --out runs/{names[0]}{flip}"
        assert "next:" not in ssdzoo("check-data", root, "--workers", 1, "--split", "train")[0]


def test_the_next_command_of_a_run_and_without_a_train_split(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.toml").write_text(TABLE + 'classes = ["cat"]\n')
    net = get_model(run / "model.toml")
    net.initialize()
    net.save_parameters(str(run / "best.params"))
    root = write_voc(tmp_path / "d", {f"i{n}": xml([CAT]) for n in range(9)}, {})
    found = json.loads(ssdzoo("check-data", root, "--workers", 1, "--model", run, "--json")[0])
    assert found["next"] == f"ssdzoo train {run}/model.toml {root} --out runs/d --weights {run}"
    root = write_voc(tmp_path / "e", {"a": xml([CAT])}, {"test": ["a"]})
    assert json.loads(ssdzoo("check-data", root, "--workers", 1, "--json")[0])["next"] is None


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (("--show", 3), 2, "--show N and --out DIR belong together"),
        (("--split", "best"), 1, "no split 'best'; there are train"),
        (("--split", "train[80]"), 2, "a part is written like train[:80%]"),
        (("--format", "tfrecord"), 2, "no format 'tfrecord'; there are voc, coco, yolo, recordio, sagemaker"),
        (("--format", "coco"), 1, "not a data set of format coco; ... expected a COCO .json"),
        (("--model", "ssd_300_vgg"), 2, "no model 'ssd_300_vgg'; do you mean"),
    ],
)
def test_wrong_calls(arguments, status, message, bad):
    out, err = ssdzoo("check-data", bad, *arguments, status=status)
    assert all(part in err for part in message.split(" ... ")) and out == "" and len(err.splitlines()) == 1


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "voc"])
def test_hostile_data_ends_with_a_message(kind, tmp_path):
    """Whatever stands where a file should be: errors, never a traceback (which the helper looks for)."""
    root = write(kind, tmp_path / "d")
    for path in [p for p in root.rglob("*") if p.is_file() and p.suffix not in (".png", ".idx")]:
        content = path.read_bytes()
        for text in (b"\xff\xfe\x00garbage", b"[" * 3000, b"9" * 300 + b" 1 1 1 1\n"):
            path.write_bytes(text)
            assert ssdzoo("check-data", root, status=1)
        path.write_bytes(content)
        break


def test_training_and_evaluation_on_joined_formats(tmp_path):
    objects = {f"i{n}": [(0, 8, 16, 40, 48), (1, 64, 0, 128, 64)] for n in range(6)}
    first, second = write("recordio", tmp_path / "one", objects), write("yolo", tmp_path / "two", objects)
    (tmp_path / "table.toml").write_text(TABLE)
    data, run = f"{first},{second / 'data.yaml'}", tmp_path / "run"
    _, shown = ssdzoo(
        "train", tmp_path / "table.toml", data, "--out", run, "--epochs", 1, "--batch-size", 4, "--split", "train[:50%]",
        "--val-split", "train[50%:]", "--base-weights", "none",
    )  # fmt: skip
    assert "3 classes (ant, bee, cow)" in shown and f"{data}, split train[:50%]: 6 images, 12 objects" in shown
    assert "split train[50%:]: 6 images, 12 objects" in shown and "mAP" in shown
    ssdzoo("train", tmp_path / "table.toml", data, "--out", run, "--epochs", 2, "--resume")
    table = json.loads(ssdzoo("check-data", data, "--model", run, "--json")[0])["anchors"]
    assert table["model"] == str(run) and table["objects"] == 24 and table["classes"]["cow"]["all"] is None
    found = json.loads(ssdzoo("eval", run, second, "--format", "yolo", "--split", "train", "--json")[0])
    assert set(found["AP"]) == {"ant", "bee", "cow"} and found["AP"]["cow"] is None
    (second / "labels" / "train" / "i0.txt").write_text(yolo_lines([(0, 0, 0, 200, 10)]))
    _, shown = ssdzoo("eval", run, data, "--split", "train", status=1)
    assert f"{second}/labels/train/i0.txt: line 1 (ant): box (0.78125, 0.078125, 1.5625, 0.15625) is outside" in shown


def test_names_that_no_terminal_can_show(tmp_path):
    root = write("yolo", tmp_path / "d")
    with open(bytes(root / "images" / "train") + b"/\xff[red].png", "wb") as file:
        file.write(b"no image")
    out, _ = ssdzoo("check-data", root, status=1)
    assert "\\udcff[red].png: not an image" in out
    assert json.loads(ssdzoo("check-data", root, "--json", status=1)[0])["errors"] == 1


def test_images_in_another_folder(tmp_path):
    """A manifest names images in a bucket; the images were downloaded."""
    box = {"class_id": 0, "left": 20, "top": 30, "width": 60, "height": 40}
    labels = {"image_size": [{"width": 100, "height": 80, "depth": 3}], "annotations": [box]}
    line = {"source-ref": "s3://bucket/a.jpg", "boxes": labels, "boxes-metadata": {"class-map": {"0": "dog"}}}
    data = write_files(tmp_path / "data", {"output.manifest": json.dumps(line)})
    images = write_files(tmp_path / "images", {"a.jpg": 1})
    out, _ = ssdzoo("check-data", data, "--split", "all", "--image-folder", images)
    assert out.startswith(f"{data}: sagemaker, 1 class\n") and "0 errors" in out
    out, _ = ssdzoo("check-data", data, "--split", "all", status=1)
    assert "no image of its name is there; put it there, or name the folder of the images with --image-folder" in out


@pytest.mark.parametrize("verb", ["check-data", "train", "eval", "anchors", "compare", "quantize"])
def test_verbs_that_read_data_take_the_folder_of_its_images(verb):
    out, _ = ssdzoo(verb, "--help")
    assert "--image-folder" in out and "--format" in out
