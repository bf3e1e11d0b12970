"""Tiles, flips and scales on the command line: what they are handed on to, and what is refused before a model is looked for."""

import json

import pytest

import ssdzoo as library
from ssdzoo.predict.views import Views
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo
from tests.networks import small_network
from tests.shared import BCCD

CLASSES = ["Platelets", "RBC", "WBC"]
LOOK = ("--tiles", "2x1", "--overlap", "0.1", "--flip")
VIEWS = {"tiles": [2, 1], "overlap": 0.1, "flip": True, "scales": [1.0]}
TILES_ALONE = {"tile_size": [400, 300], "overlap": 0.2, "whole": False, "flip": False, "scales": [1.0, 1.25]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with random weights."""
    folder = tmp_path_factory.mktemp("views") / "run"
    folder.mkdir()
    (folder / "model.toml").write_text(find_preset("ssd_300_mobilenet0.25_custom").with_classes(CLASSES).to_toml())
    small_network(CLASSES).save_parameters(str(folder / "best.params"))
    return folder


def test_predict(run, tmp_path):
    photo = BCCD / "JPEGImages" / "BloodImage_00065.jpg"
    ssdzoo("predict", run, photo, "--out", tmp_path, "--score", 0.2, "--backend", "mxnet", *LOOK)
    (entry,) = json.loads((tmp_path / "detections.json").read_text())
    expected = library.load(run, views=Views(tiles=(2, 1), overlap=0.1, flip=True))(photo, 0.2)[0]
    assert entry["detections"] == expected.to_list() and len(expected) > 0
    assert entry["detections"] != library.load(run)(photo, 0.2)[0].to_list()


def test_eval(run, tmp_path):
    out, _ = ssdzoo("eval", run, BCCD, "--out", tmp_path, "--json", *LOOK)
    result = json.loads(out)
    assert result["views"] == VIEWS and json.loads((tmp_path / "eval.json").read_text())["views"] == VIEWS
    value = library.evaluate(run, BCCD, views=Views(tiles=(2, 1), overlap=0.1, flip=True))
    assert result["mAP"] == pytest.approx(value["mAP"])
    assert result["counts"]["detections"] > 300  # of 3 images: the limit of 100 is that of a window


def test_compare(run, tmp_path):
    photo = BCCD / "JPEGImages" / "BloodImage_00065.jpg"
    ssdzoo(
        "compare", run, run, "--images", photo, "--out", tmp_path, "--tile-size", "400x300", "--scales", "1,1.25", "--no-whole"
    )
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert certificate["passed"] and certificate["a"]["views"] == certificate["b"]["views"] == TILES_ALONE
    assert certificate["detections"]["matched"] > 0


@pytest.mark.parametrize("given, message", [
    ("--tiles 0x2", "ssdzoo: --tiles 0x2: expected columns and rows, two whole numbers from 1 on\n"),
    ("--tiles 1000x1000", "ssdzoo: --tiles 1000x1000: 1000000 tiles of an image, and 4096 is the maximum\n"),
    ("--tiles 2x2 --overlap 1.5", "ssdzoo: --overlap 1.5: expected a share of a tile's side, from 0 to 0.9\n"),
    ("--overlap 0.1", "ssdzoo: --overlap is for tiles: give --tiles or --tile-size, too\n"),
    ("--no-whole", "ssdzoo: without the whole image there must be tiles: give --tiles or --tile-size, too\n"),
    ("--tiles 2x2 --tile-size 640",
     "ssdzoo: --tiles and --tile-size exclude each other: give the number of tiles, or their size\n"),
    ("--scales 1,-2", "ssdzoo: --scales -2: expected a factor of the network's input size, from 0.1 to 8\n"),
    ("--tiles two", "'two': expected two whole numbers with an x in between, such as 2x2"),
    ("--tile-size 640x", "'640x': expected two whole numbers"),
    ("--scales 1;2", "'1;2': expected numbers with commas in between, such as 1,1.5"),
])  # fmt: skip
def test_what_is_refused(given, message):
    for verb in (("predict", "MODEL", "x.jpg", "--out", "out"), ("eval", "MODEL", "DATA"), ("compare", "A", "B")):
        _, shown = ssdzoo(*verb, *given.split(), status=2)
        assert shown == message if message.endswith("\n") else message in shown


def test_one_normalization_after_another_looks_at_whole_images():
    _, shown = ssdzoo("compare", "MODEL", "--data", "DATA", "--try-normalizations", "--flip", status=2)
    assert shown == "ssdzoo: --try-normalizations looks at whole images: leave out tiles, --flip and --scales\n"
