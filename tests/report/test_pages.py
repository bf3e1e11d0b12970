"""The pages of an evaluation and of a training."""

import base64
import hashlib
import re
import shutil

import cv2
import numpy as np
import pytest

from ssdzoo.measure.evaluate import evaluate_fully
from ssdzoo.preset import check_preset
from ssdzoo.report import page_evaluation
from ssdzoo.report.evaluation import write_evaluation
from ssdzoo.report.mistakes import draw_mistakes
from ssdzoo.report.page_mistakes import encode_pictures
from ssdzoo.report.page_training import best_row
from ssdzoo.train.callbacks import TrainingEnd, TrainingStart
from ssdzoo.train.run_report import RunReport
from tests.report.pages import read
from tests.report.test_evaluation import Random

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
HOSTILE = ['<script>alert("1")</script>', "\"'><img src=x onerror=alert(1)>", "&lt; \udcff </style>", "x" * 300]
ABOUT = {"model": "runs/<b>cells", "data": "d", "split": "test", "machine": {"cores": 2},
         "model_files": [{"path": "/home/me/best.params", "sha256": "ab" * 32}]}  # fmt: skip


def written(folder, evaluation, about=None):
    """The path of the page alone: the plots beside it take matplotlib seconds."""
    page_evaluation.write_evaluation_page(folder / "report.html", evaluation, about or {}, *draw_mistakes(evaluation, 0.5, 0.5))
    return folder / "report.html"


def cells(page_text, heading):
    """Rows of the first table below a heading, as texts."""
    table = re.split(rf">{heading}</(?:h2|summary)>", page_text)[1].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in rows]


def test_the_page_of_an_evaluation_has_its_numbers(tmp_path):
    detector = Random(tmp_path, 3)
    whole = write_evaluation(tmp_path / "out", evaluate_fully(detector, detector.data), ABOUT)
    page = read(tmp_path / "out" / "report.html")
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert [heading for level, heading in page.headings if level < 3] == [
        "Evaluation of <b>cells", "Classes", "Sizes of objects", "Precision and recall", "Confusion matrix",
        "The worst mistakes", "Settings and versions",
    ]  # fmt: skip
    head, *rows, total = cells(text, "Classes")
    assert head == ["class", "AP", "objects", "best score", "F1 there", "precision", "recall"]
    for name, *values in rows:
        best, objects = whole["best_threshold"][name], whole["counts"]["by_class"][name]["objects"]
        numbers = [whole["AP"][name], objects, best["score"], best["f1"], best["precision"], best["recall"]]
        assert [float(value) for value in values] == pytest.approx(numbers, abs=6e-4) and float(values[2]) <= best["score"]
    assert [row[0] for row in rows] == detector.names and total[:2] == ["mAP", f"{whole['mAP']:.4f}"]
    matrix = [[int(cell or 0) for cell in row[1:]] for row in cells(text, "Confusion matrix")[1:]]
    assert matrix == whole["confusion"]["matrix"]
    kinds = {row[0]: int(row[1]) for row in cells(text, "The worst mistakes")[1:]}
    assert kinds == whole["mistake_counts"] and sum(kinds.values()) >= len(whole["mistakes"]) > 0
    pictures = [attributes["src"] for attributes in page.all("img") if attributes.get("src")]
    assert len(pictures) == len(whole["mistakes"])
    first = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert pictures[0].startswith("data:image/webp;base64,") and first.shape[1:] == (720, 3)
    assert "ab" * 32 in page.texts and "best.params" in page.texts and "/home/me" not in text and "1.26" in text


@pytest.mark.parametrize("classes, count, metric", [(1, 6, "voc12"), (20, 2, "coco"), (2, 0, "voc07")])
def test_pages_of_any_number_of_classes(classes, count, metric, tmp_path):
    detector = Random(tmp_path, classes, count=count)
    page = read(written(tmp_path, evaluate_fully(detector, detector.data, metric)))
    assert ("COCO's numbers" in page.texts) == (metric == "coco") and ("AR100" in page.texts) == (metric == "coco")
    assert len(page.all("svg")) == classes + 1
    if not count:
        assert page.texts.count("no objects") == classes and "There are none." in page.texts and not page.all("dialog")


def test_of_many_classes_some_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(page_evaluation, "PANELS", 2)
    monkeypatch.setattr(page_evaluation, "CONFUSED", 3)
    detector = Random(tmp_path, 9)
    path = written(tmp_path, evaluate_fully(detector, detector.data))
    page, text = read(path), path.read_text()
    assert "These are the 2 of 9 classes with the most objects." in text and "These are the 3 most confused of 9 classes." in text
    assert len(page.all("svg")) == 3 and len(cells(text, "Confusion matrix")) == 5 and len(cells(text, "Classes")) == 11


def test_names_from_strangers_are_texts(tmp_path):
    detector = Random(tmp_path, len(HOSTILE))
    detector.names[:] = HOSTILE
    about = {"model": HOSTILE[0], "data": HOSTILE[1], "split": HOSTILE[2], "runtime": HOSTILE[0]}
    page = read(written(tmp_path, evaluate_fully(detector, detector.data), about))
    assert len(page.all("script")) == 1 and all(image.get("src", "data:").startswith("data:") for image in page.all("img"))
    assert page.texts.count(HOSTILE[0]) >= 3 and page.texts.count("&lt; ? </style>") >= 2


def test_pictures_fit_into_their_budget():
    noise = [np.random.default_rng(0).integers(0, 255, (540, 720, 3), np.uint8)]
    for budget, width in ((10_000_000, 720), (80_000, 480), (1, 240)):
        (encoded,) = encode_pictures(noise, budget)
        assert len(encoded) <= max(budget, 12_000) and cv2.imdecode(np.frombuffer(encoded, np.uint8), 1).shape[1] == width
    assert encode_pictures([]) == []


PRESET = check_preset({
    "name": "<i>small</i>", "backbone": "mobilenet0.25", "base_size": 64, "features": ["relu10_fwd"], "filters": [],
    "sizes": [12, 24], "ratios": [[1, 2, 0.5]], "classes": HOSTILE[:2],
}, "test")  # fmt: skip


def row(epoch, score=None):
    return {
        "epoch": epoch, "lr": 0.005, "loss": 6 / epoch, "cls_loss": 4 / epoch, "box_loss": 2 / epoch,
        "images_per_s": 10.0 + epoch, "data_wait_s": 0.5, "mAP": score,
    }  # fmt: skip


def started(folder, rows=()):
    report = RunReport()
    arguments = {"model": "small", "data": "</dl><script>", "epochs": 4, "lr": 0.005, "engine": "mxnet", "amp": False}
    report.on_start(TrainingStart(folder, PRESET, arguments, 205, 87, 26, list(rows)))
    return report


def test_the_page_of_a_training_grows_with_it(tmp_path):
    folder = tmp_path / "cells & more"
    report = started(folder, [row(1)])
    report.on_epoch(row(2, 0.25))
    page = read(folder / "report.html")
    assert "The training goes on: 2 of 4 epochs are complete." in page.texts and not page.all("script")
    report.on_epoch(row(3, 0.75))
    report.on_epoch(row(4, float("nan")))
    (folder / "best.params").write_bytes(b"weights")
    report.on_end(TrainingEnd("finished", [row(1), row(2, 0.25), row(3, 0.75), row(4, float("nan"))], 0.75))
    page, text = read(folder / "report.html"), (folder / "report.html").read_text()
    assert page.headings[0] == (1, "Training of cells & more") and len(page.all("svg")) == 4
    notes = "The training ended after 4 of 4 epochs. best.params holds the weights of epoch 3, which has the best mAP."
    assert notes in page.texts and [page.texts[page.texts.index("</dl><script>") - 1]] == ["data"]
    numbers = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd></div>", text)[:5]
    assert [value for _, value in numbers] == ["0.7500", "3", "4", "1.500", "13.0"]
    assert [line[0] for line in cells(text, "All epochs")[1:]] == ["1", "2", "3", "4"]
    assert cells(text, "All epochs")[3] == ["3", "0.005", "2", "1.33333", "0.666667", "13", "0.5", "0.75"]
    assert hashlib.sha256(b"weights").hexdigest() in page.texts


@pytest.mark.parametrize("status, rows, words", [
    ("failed", [], "The training failed after 0 of 4 epochs: the loss <is> not finite"),
    ("interrupted", [row(1)], "The training was interrupted after 1 of 4 epochs. It can be resumed."),
    ("stopped", [row(1)], "best.params holds the weights of the last epoch, as no epoch was evaluated. It ended early"),
])  # fmt: skip
def test_how_a_training_ended(status, rows, words, tmp_path):
    report = started(tmp_path)
    report.on_end(TrainingEnd(status, rows, None, "the loss <is> not finite" if status == "failed" else None))
    page = read(tmp_path / "report.html")
    assert any(words in text for text in page.texts) and ("No epoch is complete yet." in page.texts) == (not rows)
    assert len(page.all("svg")) == (3 if rows else 0)


def test_the_best_row_is_the_first_of_equal_ones():
    assert best_row([row(1), row(2, 0.5), row(3, float("nan")), row(4, 0.5)])["epoch"] == 2
    assert best_row([row(1), row(2, float("nan"))]) is None


@pytest.mark.long
def test_the_page_in_a_browser(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if BROWSER is None:
        pytest.skip("needs chromium: apt-get install chromium")
    detector = Random(tmp_path, 30)
    whole = write_evaluation(tmp_path / "out", evaluate_fully(detector, detector.data), ABOUT)
    with playwright.sync_playwright() as started_browser:
        browser = started_browser.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        said = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
        tab.goto((tmp_path / "out" / "report.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
        zooms = tab.locator(".zoom")
        assert zooms.count() == len(whole["mistakes"])
        zooms.nth(0).focus()
        tab.keyboard.press("Enter")
        first = tab.inner_text("#large-text")
        assert tab.locator("dialog").is_visible() and first.startswith(whole["mistakes"][0]["kind"])
        assert tab.evaluate("document.querySelector('dialog img').naturalWidth") == 720
        tab.keyboard.press("ArrowLeft")
        assert tab.inner_text("#large-text").startswith(whole["mistakes"][-1]["kind"])
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text("#large-text") == first
        tab.get_by_role("button", name="Next").click()
        tab.keyboard.press("Escape")
        assert not tab.locator("dialog").is_visible()
        assert tab.evaluate("[...document.querySelectorAll('.zoom')].indexOf(document.activeElement)") == 1
        tab.emulate_media(media="print", color_scheme="dark")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(28, 35, 48)"
        assert said == []
        browser.close()
