"""Comparing detections against slow loops, the verdict at its limits, and the whole certificate over the command line."""

import json

import cv2
import numpy as np
import pytest

from ssdzoo.boxes import iou
from ssdzoo.detections import Detections
from ssdzoo.errors import CallError
from ssdzoo.measure.compare import Tolerance, check_classes, judge, match_detections, summarize
from ssdzoo.report.certificate import verdict
from tests.report.pages import read

NAMES = ("a", "b")


def detections(*rows):
    """Of (class, score, x1, y1, x2, y2), best first."""
    rows = sorted(rows, key=lambda row: -row[1])
    return Detections([r[2:] for r in rows], [r[1] for r in rows], [r[0] for r in rows], NAMES)


def slow_match(a, b, score, slack):
    """Pairs, missing and extra by one loop per pair, the best of all that remain each time."""
    pairs, free_a, free_b = [], set(range(len(a))), set(range(len(b)))
    while True:
        best = None
        for i in sorted(free_a):
            for j in sorted(free_b):
                low, high = sorted([float(a.scores[i]), float(b.scores[j])])
                overlap = float(iou(a.boxes[i : i + 1], b.boxes[j : j + 1])[0, 0])
                if a.class_ids[i] != b.class_ids[j] or high < score or low < score - slack or overlap < 0.5:
                    continue
                key = (-overlap, high - low)
                if best is None or key < best[0]:
                    best = key, i, j
        if best is None:
            break
        pairs.append(best[1:])
        free_a.remove(best[1])
        free_b.remove(best[2])
    missing = sorted(i for i in free_a if a.scores[i] >= score)
    return sorted(pairs), missing, sorted(j for j in free_b if b.scores[j] >= score)


def test_matching_agrees_with_the_loop():
    rng, found = np.random.default_rng(0), 0
    for _ in range(40):
        corners = rng.uniform(0, 60, (int(rng.integers(0, 25)), 2))
        rows = [(int(rng.integers(2)), float(rng.uniform(0, 1)), *c, *(c + rng.uniform(10, 40, 2))) for c in corners]
        moved = [
            (c, float(np.clip(s + rng.normal(0, 0.05), 0, 1)), *(np.array(box) + rng.normal(0, 2, 4)))
            for c, s, *box in rows
            if rng.uniform() < 0.8
        ]
        a, b = detections(*rows), detections(*moved)
        match = match_detections(a, b, 0.3, 0.05)
        pairs, missing, extra = slow_match(a, b, 0.3, 0.05)
        assert [tuple(p) for p in match.pairs] == pairs
        assert (match.missing.tolist(), match.extra.tolist()) == (missing, extra)
        for (i, j), pixels, score in zip(pairs, match.pixels, match.scores):
            assert pixels == pytest.approx(max(abs(float(x) - float(y)) for x, y in zip(a.boxes[i], b.boxes[j])))
            assert score == pytest.approx(abs(float(a.scores[i]) - float(b.scores[j])))
        found += len(pairs)
    assert found > 200


def test_matches_by_hand():
    a = detections((0, 0.9, 0, 0, 10, 10), (1, 0.8, 0, 0, 10, 10), (0, 0.7, 50, 50, 60, 60), (0, 0.05, 80, 80, 90, 90))
    b = detections((0, 0.85, 0, 0, 10, 9), (1, 0.8, 0, 0, 10, 4.9), (0, 0.7, 50, 50, 60, 60.5))
    match = match_detections(a, b, 0.1)
    assert match.pairs.tolist() == [[0, 0], [2, 2]]  # the second has an IoU of 0.49; the fourth lies below the score
    assert (match.missing.tolist(), match.extra.tolist()) == ([1], [1])
    np.testing.assert_allclose(match.pixels, [1, 0.5])
    np.testing.assert_allclose(match.iou, [0.9, 100 / 105], atol=1e-6)
    np.testing.assert_allclose(match.scores, [0.05, 0], atol=1e-6)


def test_rounding_at_the_least_score_is_no_missing_detection():
    a, b = detections((0, 0.10001, 0, 0, 10, 10)), detections((0, 0.09999, 0, 0, 10, 10))
    assert match_detections(a, b, 0.1).missing.tolist() == [0]
    assert match_detections(a, b, 0.1, 1e-4).pairs.tolist() == [[0, 0]]
    assert match_detections(b, a, 0.1, 1e-4).pairs.tolist() == [[0, 0]]
    assert not len(match_detections(b, b, 0.1, 1e-4).pairs)


def test_equal_boxes_are_matched_by_their_scores():
    pile = detections((0, 0.9, 0, 0, 10, 10), (0, 0.6, 0, 0, 10, 10), (0, 0.3, 0, 0, 10, 10))
    match = match_detections(pile, pile, 0.1)
    assert match.pairs.tolist() == [[0, 0], [1, 1], [2, 2]] and match.badness == (0, 0, 0)


def test_what_falls_off_the_end_is_not_missing():
    """Of two that give two detections at most, each keeps another one of two equals."""
    a = detections((0, 0.9, 0, 0, 10, 10), (0, 0.500001, 20, 20, 30, 30))
    b = detections((0, 0.9, 0, 0, 10, 10), (0, 0.500002, 50, 50, 60, 60))
    match = match_detections(a, b, 0.1, 1e-4, (2, 2))
    assert match.cut == (1, 1) and not len(match.missing) and not len(match.extra)
    counts = summarize([match], NAMES, NAMES)["detections"]
    expected = {"a": 2, "b": 2, "matched": 1, "missing": 0, "extra": 0, "cut_a": 1, "cut_b": 1, "agreement": 1.0}
    assert counts == expected
    assert match_detections(a, b, 0.1, 1e-4, (2, 3)).missing.tolist() == [1]  # B has room for it
    better = detections((0, 0.9, 0, 0, 10, 10), (0, 0.6, 20, 20, 30, 30))
    assert match_detections(better, b, 0.1, 1e-4, (2, 2)).missing.tolist() == [1]


def compared(a, b, score=0.1, **values):
    return {**summarize([match_detections(a, b, score)], NAMES, NAMES), "mAP": {"loss": 0.0}, **values}


def test_a_limit_of_map_is_one_of_its_loss():
    summary = {"tolerance": {"map": 0.05, "agreement": None}, "passed": True}
    assert verdict(summary) == "PASSED: mAP not lower by more than 0.05"


def test_the_verdict_at_its_limits():
    a, near = detections((0, 0.5, 0, 0, 10, 10)), detections((0, 0.5, 0, 0, 10, 10.25))
    assert judge(compared(a, near), Tolerance(box=0.25)) == []
    assert judge(compared(a, near), Tolerance(box=0.2)) == ["a box differs by 0.25 pixels, tolerance 0.2"]
    lower = detections((0, 0.25, 0, 0, 10, 10))
    assert judge(compared(a, lower), Tolerance(score=0.25)) == []
    assert judge(compared(a, lower), Tolerance()) == ["a score differs by 0.25, tolerance 0.0001"]
    none = Detections.empty(NAMES)
    assert judge(compared(a, none), Tolerance()) == ["1 of 1 detections of A are missing in B"]
    assert judge(compared(none, a), Tolerance()) == ["1 of 1 detections of B are not in A"]
    assert judge(compared(none, none), Tolerance())[0].startswith("neither finds anything")


def test_a_tolerance_of_map_decides_alone():
    a, none = detections((0, 0.5, 0, 0, 10, 10)), Detections.empty(NAMES)
    assert judge(compared(a, none, mAP={"loss": 0.01}), Tolerance(map=0.01)) == []
    assert judge(compared(a, none, mAP={"loss": -0.2}), Tolerance(map=0)) == []
    assert judge(compared(a, a, mAP={"loss": 0.02}), Tolerance(map=0.01)) == ["mAP falls by 0.0200, tolerance 0.01"]
    assert judge(compared(a, a, mAP={"loss": None}), Tolerance(map=0.01))[0].startswith("mAP has no value")
    three = detections((0, 0.9, 0, 0, 10, 10), (0, 0.8, 50, 50, 60, 60), (1, 0.5, 20, 20, 30, 30))
    two = detections((0, 0.5, 0, 0, 10, 12), (0, 0.8, 50, 50, 60, 60))
    assert compared(three, two)["detections"]["agreement"] == pytest.approx(2 / 3)
    assert judge(compared(three, two), Tolerance(agreement=0.66)) == []
    assert judge(compared(two, three), Tolerance(agreement=0.7)) == ["0.6667 of the detections agree, at least 0.7 should"]
    assert judge(compared(none, none), Tolerance(agreement=0))[0].startswith("neither finds anything")
    assert len(judge(compared(three, two, mAP={"loss": 0.1}), Tolerance(map=0.01, agreement=0.7))) == 2


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_tolerance_is_a_number(value):
    for what in ("box", "score", "map"):
        with pytest.raises(CallError, match=f"a {what} tolerance of {value}"):
            Tolerance(**{what: value})


def test_models_of_other_classes_are_refused():
    class Named:
        def __init__(self, *names):
            self.names = names

    check_classes(Named("a", "b"), Named("x", "y"))
    with pytest.raises(CallError, match=r"A has 2 classes \(a, b \.\.\.\), B 1 \(a \.\.\.\)"):
        check_classes(Named("a", "b"), Named("a"))
    assert summarize([], ["a"], ["b"])["notes"] == ["the class names differ: classes were compared by their numbers"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A run, an .onnx of it, one of other weights, and a folder of images."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    from ssdzoo.export.onnx_file import export_onnx
    from ssdzoo.zoo import find_preset
    from tests.export.onnx.models import trained_looking

    folder, rng = tmp_path_factory.mktemp("compare"), np.random.default_rng(0)
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
    net = trained_looking(preset.name, rng.normal(size=(4, 3, 300, 300)).astype(np.float32))
    (folder / "images").mkdir()
    for name in ("one <script>alert(1)<!--.png", "two.png"):
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 256, (120, 200, 3), np.uint8))
    for run in ("run", "moved"):
        (folder / run).mkdir()
        (folder / run / "model.toml").write_text(preset.to_toml())
        net.save_parameters(str(folder / run / "best.params"))
        export_onnx(folder / run, folder / f"{run}.onnx")
        for head in net.class_predictors:
            bias = head.predictor.bias.data()
            bias[1::4] = bias[1::4] + 0.05  # of the first class, of every anchor
    return folder


def compare(*arguments):
    """The exit status of `ssdzoo compare`."""
    from ssdzoo.cli import main

    with pytest.raises(SystemExit) as stopped:
        main(["compare", *map(str, arguments)])
    return stopped.value.code or 0


@pytest.mark.parametrize("side, backend", [("run.onnx", "onnxruntime"), ("run.onnx", "openvino"), ("run", "onnxruntime")])
def test_a_certificate_of_the_same(side, backend, models, tmp_path, capsys):
    if backend == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
    options = ["--images", models / "images", "--backend-b", backend, "--out", tmp_path]
    assert compare(models / "run", models / side, *options) == 0
    assert "PASSED" in capsys.readouterr().out
    found = json.loads((tmp_path / "certificate.json").read_text())
    counts = found["detections"]
    assert found["passed"] and counts["matched"] == counts["a"] == counts["b"] > 40 and counts["missing"] == counts["extra"] == 0
    assert found["boxes"]["largest_pixels"] < 0.01 and found["scores"]["largest"] < 2e-5
    assert 0 < found["heads"]["logits"] < 1e-3 and 0 < found["heads"]["offsets"] < 1e-3
    assert found["a"]["runtime"] == "mxnet 1.9.1" and found["b"]["runtime"].startswith(backend)
    assert all(len(file["sha256"]) == 64 for name in "ab" for file in found[name]["files"])
    assert found["machine"]["cores"] >= 1 and found["mAP"] == {"not_compared": "the true boxes are not known"}


def test_a_certificate_of_another_network(models, tmp_path, capsys):
    """Other weights fail, and the page shows the images, names of files escaped."""
    assert compare(models / "run.onnx", models / "moved.onnx", "--images", models / "images", "--out", tmp_path) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out and "a score differs by" in out
    found = json.loads((tmp_path / "certificate.json").read_text())
    assert not found["passed"] and found["heads"]["logits"] == pytest.approx(0.05, abs=1e-4)
    assert found["a"]["files"][0]["sha256"] != found["b"]["files"][0]["sha256"]
    page = read(tmp_path / "certificate.html")
    text = " ".join(page.texts)
    assert len(page.all("img")) == 4 and not page.all("script") and "one <script>alert(1)" in text
    assert [text for _, text in page.headings] == [
        "Two models on the same images", "The models", "What differs", "The images that differ most", "The files",
        "Of model A", "Of model B", "Versions and machine",
    ]  # fmt: skip
    assert {"class": "note bad"} in page.all("p") and "FAILED: expected boxes within 0.05 pixels" in text
    assert all(file["sha256"] in text for side in "ab" for file in found[side]["files"])


def test_wrong_calls(models, tmp_path, capsys):
    run, images = models / "run", models / "images"
    for arguments, message in (
        ([run, run], "either --images DIR, or --data DATA"),
        ([run, run, "--images", images, "--map-tolerance", 0.1], "--map-tolerance needs true boxes"),
        ([run, models / "run.onnx", "--images", images, "--backend-b", "mxnet"], "mxnet runs no ONNX file"),
        ([models / "run.onnx", models / "none.onnx", "--images", images], "none.onnx: no such ONNX file"),
    ):
        assert compare(*arguments, "--out", tmp_path / "out") in (1, 2)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
