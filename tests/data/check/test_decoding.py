"""What is found by decoding the images."""

from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from ssdzoo.data.check.check_dataset import check_dataset, image_problems
from ssdzoo.data.check.decoding import decode
from ssdzoo.data.record import Records
from tests.data.formats.voc_folder import write_voc, xml

CAT = ("cat", 11, 21, 31, 41)


def test_damage_within_images(tmp_path):
    root = write_voc(tmp_path / "d", {s: xml([CAT]) for s in "abcde"}, {"train": list("abcde")})
    files = {s: root / "JPEGImages" / f"{s}.jpg" for s in "abcde"}
    whole = files["a"].read_bytes()
    half = len(whole) // 2
    files["a"].write_bytes(whole[:half])
    files["b"].write_bytes(whole[:half] + b"\xff\xd9")
    files["c"].write_bytes(whole[:half] + bytes(range(100)) + whole[half + 100 :])
    files["d"].write_bytes(whole[:-2] + b"\x00\x00\xff\xd9")
    report = check_dataset(root, workers=0)
    found = {p.path.stem: (p.severity, p.message) for p in report.problems}
    assert sorted(found) == ["a", "b", "c", "d"] and [found[s][0] for s in "abcd"] == ["error", "error", "error", "warning"]
    assert "truncated" in found["a"][1]
    assert "decodes to garbage (Corrupt JPEG data: premature end of data segment)" in found["b"][1]
    assert "decodes to garbage (Corrupt JPEG data" in found["c"][1]
    assert found["d"][1] == "2 bytes too many before its end marker: harmless if it looks right"


def turn(path, orientation):
    """Gives an image an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)


def test_images_that_exif_turns(tmp_path):
    unsized = xml([CAT], size=(0, 0))
    annotations = {"a": unsized, "b": unsized, "c": xml([CAT], size=(80, 100)), "d": xml([CAT]), "e": xml([], size=(0, 0))}
    root = write_voc(tmp_path / "d", annotations, {"train": list(annotations)})
    for stem, orientation in {"b": 6, "c": 6, "d": 3, "e": 6}.items():
        turn(root / "JPEGImages" / f"{stem}.jpg", orientation)
    report = check_dataset(root, workers=0)
    assert [(p.path.stem, p.kind, p.severity) for p in report.problems] == [
        ("b", "EXIF orientation", "warning"),
        ("d", "EXIF orientation", "warning"),  # upside down it has the same size
    ]
    assert "and its annotation does not give its size: boxes are taken in the turned image" in report.problems[0].message
    assert "and both have the size that the annotation gives" in report.problems[1].message
    assert [(r.height, r.width) for r in report.records["train"]] == [(80, 100), (100, 80), (100, 80), (80, 100), (100, 80)]


def test_images_of_16_bits(tmp_path):
    root = write_voc(tmp_path / "d", {s: xml([CAT]) for s in "abc"}, {"train": list("abc")}, suffix=".png")
    for seed, stem in enumerate("ac"):
        cv2.imwrite(str(root / "JPEGImages" / f"{stem}.png"), np.random.default_rng(seed).integers(0, 9999, (80, 100), np.uint16))
    (problem,) = check_dataset(root, workers=0).problems
    assert (problem.kind, problem.severity, problem.path) == ("16 bits", "warning", root)
    assert problem.message == (
        f"2 images have more than 8 bits, such as {root}/JPEGImages/a.png: each is scaled from its lowest to its highest value, "
        "in training and prediction alike"
    )


def test_a_size_that_the_image_does_not_have_is_found_by_decoding(tmp_path):
    """A reader may believe the size that an annotation gives."""
    root = write_voc(tmp_path / "data", {"a": xml([CAT])}, {"train": ["a"]})
    record = next(iter(check_dataset(root, workers=0).records["train"]))
    wrong, result = replace(record, height=100, width=80), decode(record.image)
    for given, expected in ((record, []), (wrong, ["its annotation says 80x100, it is 100x80: an annotation of another image"])):
        found = image_problems({"train": Records.of(given)}, {str(record.image): result}, [], tmp_path)
        assert [p.message.split(",")[0] + "," + p.message.split(",")[1] for p in found] == expected
