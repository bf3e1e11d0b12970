"""`ssdzoo anchors` as a user meets it."""

import json

import cv2
import pytest

from ssdzoo.demo.shapes import write_shapes
from ssdzoo.preset import read_preset
from tests.command import ssdzoo
from tests.data.formats.voc_folder import write_voc, xml
from tests.train.jobs import TABLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anchors")
    write_shapes(folder / "data", 8, 2, 0)
    (folder / "table.toml").write_text(TABLE)
    return folder


def test_from_data_to_a_trained_model(folder):
    fitted, picture = folder / "fitted.toml", folder / "fitted.png"
    out, _ = ssdzoo("anchors", folder / "data", "--model", folder / "table.toml", "--out", fitted, "--picture", picture)
    lines = out.splitlines()
    assert lines[0].startswith(f"{folder}/data, split train: 8 images, ") and lines[1].startswith(
        "now: 336 anchors of table; proposed: "
    )
    assert {"circle", "cross", "square", "star", "triangle"} <= {line.split()[0] for line in lines if line}
    assert lines[-2] == f"{fitted}: train it with ssdzoo train {fitted} {folder}/data --out RUN"
    assert cv2.imread(str(picture)).shape[1] > 1000
    assert fitted.read_text("utf-8").startswith("# table with anchors that `ssdzoo anchors` fitted to ")
    ssdzoo("train", fitted, folder / "data", "--out", folder / "run", "--epochs", 1, "--batch-size", 4, "--base-weights", "none")
    assert read_preset(folder / "run" / "model.toml").sizes == read_preset(fitted).sizes
    found = json.loads(
        ssdzoo("anchors", folder / "data", "--model", folder / "run", "--split", "val", "--anchors", 5, "--json")[0]
    )
    assert [sum(map(len, found[key])) for key in ("sizes", "ratios")] == [5, 5]
    assert (found["split"], found["images"], found["table"], found["model"]) == ("val", 2, None, "fitted")
    assert found["before"]["levels"][0]["shapes"] == len(read_preset(fitted).sizes[0])
    _, err = ssdzoo("anchors", folder / "data", "--model", folder / "table.toml", "--out", fitted, status=2)
    assert err == f"ssdzoo: --out {fitted} is there already: name another file\n"


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (("--model", "ssd_300_vgg"), 2, "no model 'ssd_300_vgg'; do you mean"),
        (
            ("--model", "table.toml", "--anchors", 2),
            2,
            "2 anchors are too few: the model has 3 feature maps, and each needs at least one",
        ),
        (("--model", "table.toml", "--split", "best"), 1, "no split 'best'; there are"),
        (("--model", "table.toml", "--out", "new.txt"), 2, "--out new.txt: a table that train takes ends with .toml"),
        (("--model", "table.toml", "--picture", "new.gif"), 2, "--picture new.gif: a picture is saved as .png or .jpg"),
    ],
)
def test_wrong_calls(folder, arguments, status, message):
    arguments = [folder / argument if argument == "table.toml" else argument for argument in arguments]
    out, err = ssdzoo("anchors", folder / "data", *arguments, status=status)
    assert message in err and out == "" and len(err.splitlines()) == 1


def test_data_without_objects(tmp_path):
    data = write_voc(tmp_path / "d", {"x": xml([])}, {"train": ["x"]})
    (tmp_path / "table.toml").write_text(TABLE)
    _, err = ssdzoo("anchors", data, "--model", tmp_path / "table.toml", status=1)
    assert err == f"ssdzoo: {data}: no objects in split 'train', so there is nothing to fit anchors to\n"
    assert "Missing option '--model'" in ssdzoo("anchors", data, status=2)[1]
