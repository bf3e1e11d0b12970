"""Suppression and anchors against mxnet: random boxes, equal scores, thresholds met exactly, limits."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.boxes import iou
from ssdzoo.runtime import mxnet
from tests.export.onnx.models import run_symbol

mx = mxnet()
S = mx.sym
X = S.var("data")


def nms(**kwargs):
    given = dict(overlap_thresh=0.45, topk=400, valid_thresh=0.01, id_index=0, score_index=1, coord_start=2)
    return S.contrib.box_nms(X, **{**given, **kwargs})


def random_rows(rng, batch=2, count=300, classes=4, levels=50):
    """(B, count, 6); scores are multiples of 1 / levels, so that many are equal."""
    corner = rng.uniform(0, 200, (batch, count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(-5, 100, (batch, count, 2))], 2)  # some turned inside out
    ids = rng.integers(-1, classes, (batch, count, 1))
    scores = rng.integers(0, levels, (batch, count, 1)) / levels
    return np.concatenate([ids, scores, boxes], 2).astype(np.float32)


def same_rows(symbol, rows, kept=None, **kwargs):
    (expected,), (found,) = run_symbol(symbol, data=rows, **kwargs)
    count = min(found.shape[1], expected.shape[1])
    np.testing.assert_array_equal(found[:, :count], expected[:, :count])
    assert (expected[:, count:] == -1).all() and (found[:, count:] == -1).all()
    if kept is not None:
        assert (found[..., 0] >= 0).sum(1).tolist() == kept
    return found


@pytest.mark.parametrize(
    "options",
    [
        {}, {"topk": 100}, {"topk": -1}, {"topk": 1000}, {"overlap_thresh": 0.7}, {"force_suppress": True}, {"valid_thresh": 0.5},
        {"valid_thresh": 0.0}, {"background_id": 0}, {"id_index": -1}, {"overlap_thresh": 0.0},
    ],
)  # fmt: skip
@pytest.mark.parametrize("dims", [None, ["batch", "rows", 6]])
def test_random_rows_bit_by_bit(options, dims):
    for seed in range(3):
        same_rows(nms(**options), random_rows(np.random.default_rng(seed)), dims=dims)


def test_two_classes_at_an_iou_of_nine_tenths_both_survive():
    rows = np.float32([[[0, 0.9, 0, 0, 100, 100], [1, 0.8, 0, 0, 100, 90], [1, 0.7, 0, 0, 100, 90]]])
    assert iou(rows[0, :1, 2:], rows[0, 1:2, 2:])[0, 0] == pytest.approx(0.9)
    found = same_rows(nms(), rows, [2])
    assert found[0, :2, 1].tolist() == pytest.approx([0.9, 0.8])
    same_rows(nms(force_suppress=True), rows, [1])


def test_an_iou_that_is_the_threshold_survives():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(60):
        rows = random_rows(rng, 1, 2, 1)
        rows[..., 0], rows[0, :, 1] = 0, (0.9, 0.8)
        rows[..., 4:] = rows[..., 2:4] + rng.uniform(60, 150, (1, 2, 2))
        value = iou(rows[0, :1, 2:], rows[0, 1:, 2:])[0, 0]
        if not 0.01 < value < 0.99:
            continue
        hits += 1
        same_rows(nms(overlap_thresh=float(value)), rows, [2])
        same_rows(nms(overlap_thresh=float(np.nextafter(value, np.float32(0)))), rows, [1])
    assert hits > 30


def test_the_400_best_of_all_classes_enter():
    """900 boxes apart from each other: the limit alone decides, and of equal scores the first ones are taken."""
    grid = np.stack(np.meshgrid(np.arange(30), np.arange(30)), -1).reshape(-1, 2) * 20.0
    rows = np.concatenate([np.arange(900)[:, None] % 3, np.full((900, 1), 0.5), grid, grid + 10], 1).astype(np.float32)[None]
    found = same_rows(nms(), rows, [400])
    np.testing.assert_array_equal(found[0, :, 2:], rows[0, :400, 2:])
    rows[0, 700:710, 1] = 0.6
    np.testing.assert_array_equal(same_rows(nms(), rows, [400])[0, :10, 2:], rows[0, 700:710, 2:])


@pytest.mark.parametrize("rows", [1, 5])
def test_fewer_rows_than_the_limit_and_none_at_all(rows):
    empty = np.zeros((2, rows, 6), np.float32)
    same_rows(nms(), empty, [0, 0])
    empty[0, 0] = [0, 0.5, 0, 0, 1, 1]
    same_rows(nms(), empty, [1, 0])


def multibox(classes, count, rng, peak=3.0):
    """Class scores (B, C + 1, N), offsets (B, 4 N), anchors (1, N, 4)."""
    scores = np.exp(rng.normal(0, peak, (2, classes + 1, count)))
    scores = np.round(scores / scores.sum(1, keepdims=True), 2)  # many are equal
    corner = rng.uniform(-0.1, 0.8, (1, count, 2))
    anchors = np.concatenate([corner, corner + rng.uniform(0.05, 0.4, (1, count, 2))], 2)
    return [a.astype(np.float32) for a in (scores, rng.normal(0, 0.7, (2, count * 4)), anchors)]


@pytest.mark.parametrize(
    "options",
    [
        {}, {"nms_topk": 50}, {"nms_topk": 400}, {"force_suppress": True}, {"threshold": 0.2}, {"clip": False},
        {"nms_threshold": 0.3, "variances": (0.2, 0.1, 0.3, 0.2)}, {"nms_threshold": 0.0}, {"nms_threshold": 1.0},
    ],
)  # fmt: skip
def test_multi_box_detection(options):
    rng = np.random.default_rng(3)
    scores, offsets, anchors = multibox(4, 150, rng)
    symbol = S.contrib.MultiBoxDetection(X, S.var("offsets"), S.var("anchors"), **options)
    (expected,), (found,) = run_symbol(symbol, data=scores, offsets=offsets, anchors=anchors)
    for image, answer in zip(expected, found):
        kept = image[image[:, 0] >= 0]
        if not 0 < options.get("nms_threshold", 0.5) <= 1:
            kept = kept[np.argsort(-kept[:, 1], kind="stable")]  # MXNet leaves them in the order of the anchors
        count = len(kept)
        assert count > 20
        np.testing.assert_array_equal(answer[:count, :2], kept[:, :2])
        np.testing.assert_allclose(answer[:count, 2:], kept[:, 2:], atol=2e-6)
        assert (answer[count:] == -1).all()


def test_multi_box_detection_at_its_threshold():
    """Unlike box_nms it drops what overlaps by the threshold itself."""
    anchors = np.float32([[[0, 0, 0.5, 1], [0, 0, 0.5, 0.5]]])
    scores = np.float32([[[0.1, 0.2], [0.9, 0.8]]])
    for thresh, kept in ((0.4999, 1), (0.5, 1), (float(np.nextafter(np.float32(0.5), np.float32(1))), 2)):
        symbol = S.contrib.MultiBoxDetection(X, S.var("offsets"), S.var("anchors"), nms_threshold=thresh)
        (expected,), (found,) = run_symbol(symbol, data=scores, offsets=np.zeros((1, 8)), anchors=anchors)
        assert (expected[..., 0] >= 0).sum() == (found[..., 0] >= 0).sum() == kept


@pytest.mark.parametrize(
    "options",
    [
        {"sizes": (0.2, 0.3), "ratios": (1, 2, 0.5)}, {"sizes": (0.9,), "ratios": (1, 3), "clip": True}, {"ratios": (2, 1)},
        {"sizes": (0.1, 0.14), "ratios": (1, 2), "steps": (0.1, 0.05), "offsets": (0.3, 0.7)}, {},
    ],
)  # fmt: skip
@pytest.mark.parametrize("dims", [None, ["batch", 3, "h", "w"]])
def test_multi_box_prior(options, dims):
    data = np.zeros((2, 3, 5, 8), np.float32)
    (expected,), (found,) = run_symbol(S.contrib.MultiBoxPrior(X, **options), dims=dims, data=data)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("options", [{"format": "corner"}, {"format": "center", "clip": 0.3}, {"format": "center"}])
def test_box_decode(options):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 200, (1, 30, 2))
    anchors = np.concatenate([corner, corner + rng.uniform(20, 100, (1, 30, 2))], 2)
    symbol = S.contrib.box_decode(X, S.var("anchors"), 0.1, 0.1, 0.2, 0.2, **options)
    (expected,), (found,) = run_symbol(symbol, data=rng.normal(0, 1, (3, 30, 4)), anchors=anchors)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
