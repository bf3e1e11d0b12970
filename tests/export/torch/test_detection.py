"""Decoding and NMS in torch, against loops and against mxnet's operators."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from ssdzoo.boxes import center_to_corner, iou
from ssdzoo.export.torch import detection
from ssdzoo.export.torch.detection import find_objects, top_candidates
from ssdzoo.formats.detection_rule import DetectionRule
from ssdzoo.nn.detect import Detect
from ssdzoo.predict.backends.torch import as_arrays
from ssdzoo.runtime import mxnet

mx = mxnet()
STDS = (0.1, 0.1, 0.2, 0.2)
SIZE = (80, 120)
RULE = DetectionRule(thresh=0.45, topk=40, post=15, score=0.01, stds=STDS)


def heads(batch=2, anchors=50, classes=3, seed=0, ties=False, background=0.0):
    """Logits, offsets and anchors; with `ties` the second half of the anchors has the logits of the first, and half of those have
    the same boxes too."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (batch, anchors, classes + 1))
    offsets = rng.normal(0, 0.5, (batch, anchors, 4))
    centers, sizes = rng.uniform(0, 1, (anchors, 2)) * [SIZE[1], SIZE[0]], rng.uniform(10, 50, (anchors, 2))
    boxes = np.concatenate([centers, sizes], 1)
    if ties:
        half, part = anchors // 2, anchors // 4
        logits[:, half:] = logits[:, :half]
        offsets[:, half : half + part], boxes[half : half + part] = offsets[:, :part], boxes[:part]
    logits[..., 0] += background
    return tuple(a.astype(np.float32) for a in (logits, offsets, boxes[None]))


def found_by_torch(arrays, rule, size=SIZE):
    return as_arrays(find_objects(*map(torch.from_numpy, arrays), rule, size))


def by_loops(arrays, rule):
    """Rows [class id, score, box] of each image, one candidate after the other."""
    logits, offsets, anchors = arrays
    images = []
    for scores, shifts in zip(torch.from_numpy(logits).softmax(-1).numpy()[..., 1:], offsets):
        centers = anchors[0, :, :2] + shifts[:, :2] * STDS[0] * anchors[0, :, 2:]
        grow = np.minimum(shifts[:, 2:] * STDS[2], rule.scale_limit or np.inf)
        boxes = center_to_corner(np.concatenate([centers, anchors[0, :, 2:] * np.exp(grow)], 1))
        if rule.clip:
            boxes = boxes.clip(0, [SIZE[1], SIZE[0]] * 2).astype(np.float32)
        rows = []
        for k in range(scores.shape[1]):
            for n in range(len(boxes)):
                if rule.multi_box and scores[n].argmax() != k:
                    continue
                enough = scores[n, k] >= rule.score if rule.multi_box else scores[n, k] > np.float32(rule.score)
                if enough:
                    rows.append((-scores[n, k], n if rule.multi_box else (k, n), k, boxes[n]))
        rows.sort(key=lambda row: row[:2])
        kept = []
        for score, _, k, box in rows[: rule.topk if rule.topk > 0 else None]:
            rivals = [other for _, c, other in kept if c == k or not rule.by_class]
            overlap = max((iou(box[None], other[None])[0, 0] for other in rivals), default=-1)
            if not (overlap >= np.float32(rule.thresh) if rule.multi_box else overlap > np.float32(rule.thresh)):
                kept.append((-score, k, box))
        images.append(kept[: rule.post if rule.post > 0 else None])
    return images


def assert_same(expected, found):
    ids, scores, boxes = found
    assert ids.shape[2:] == scores.shape[2:] == (1,) and boxes.shape == (*ids.shape[:2], 4)
    for rows, i, s, b in zip(expected, ids[..., 0], scores[..., 0], boxes):
        assert (i >= 0).sum() == len(rows) and (i[len(rows) :] == -1).all()
        assert (s[len(rows) :] == -1).all() and (b[len(rows) :] == -1).all()
        np.testing.assert_array_equal(i[: len(rows)], [row[1] for row in rows])
        np.testing.assert_allclose(s[: len(rows)], [row[0] for row in rows], atol=1e-6)
        np.testing.assert_allclose(b[: len(rows)].reshape(-1, 4), np.reshape([row[2] for row in rows], (-1, 4)), atol=1e-3)


def changed(**fields):
    return DetectionRule(**{**RULE.__dict__, **fields})


RULES = {
    "as GluonCV": RULE,
    "all classes together": changed(by_class=False),
    "no limits": changed(topk=-1, post=-1),
    "limited scales": changed(scale_limit=0.05),
    "MultiBoxDetection": changed(multi_box=True, clip=True),
    "MultiBoxDetection, all classes together": changed(multi_box=True, by_class=False, topk=-1, score=0.4),
    "a high threshold": changed(score=0.5, thresh=0.2),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("ties", [False, True])
def test_as_a_loop_over_candidates(name, ties):
    arrays = heads(ties=ties)
    expected = by_loops(arrays, RULES[name])
    assert min(map(len, expected)) > 3
    assert_same(expected, found_by_torch(arrays, RULES[name]))


@pytest.mark.parametrize("shape", [{"anchors": 7}, {"classes": 1}, {"classes": 150, "anchors": 12}, {"batch": 1, "anchors": 1}])
def test_few_candidates_and_many_classes(shape):
    arrays = heads(**shape)
    assert_same(by_loops(arrays, RULE), found_by_torch(arrays, RULE))


@pytest.mark.parametrize("name", RULES)
def test_nothing_above_the_threshold(name):
    ids, scores, boxes = found_by_torch(heads(background=30.0), RULES[name])
    assert len(ids) == 2 and (ids == -1).all() and (scores == -1).all() and (boxes == -1).all()


def test_an_image_without_objects_beside_one_with_some():
    arrays = heads()
    arrays[0][0, :, 0] += 30
    first, second = by_loops(arrays, RULE)
    assert not first and len(second) == 15
    assert_same([first, second], found_by_torch(arrays, RULE))


def test_blocks_give_what_one_matrix_gives(monkeypatch):
    arrays = heads(ties=True, anchors=92)
    for rule in (RULES["no limits"], RULES["MultiBoxDetection"]):
        whole = found_by_torch(arrays, rule)
        with monkeypatch.context() as patch:
            patch.setattr(detection, "_BLOCK", 7)
            for a, b in zip(whole, found_by_torch(arrays, rule)):
                np.testing.assert_array_equal(a, b)


def test_a_chain_of_boxes_each_of_which_overlaps_the_next():
    """Every second one stays; what a dropped one overlaps is not dropped."""
    count = 200
    boxes = torch.tensor([[4.0 * i, 0, 4.0 * i + 10, 10] for i in range(count)])[None]
    valid = torch.ones(1, count, dtype=torch.bool)
    kept = detection.survivors(boxes, None, valid, 0.4)
    assert kept[0].tolist() == [i % 2 == 0 for i in range(count)]
    exactly = detection.survivors(boxes, None, valid, 3 / 7), detection.survivors(boxes, None, valid, 3 / 7, True)
    assert [int(kept.sum()) for kept in exactly] == [200, 100]  # IoU 6 / 14


def test_of_equal_scores_the_first_are_taken():
    scores = torch.tensor([[0.5, 0.25, 0.5, 0.0, 0.25, 1.0, 0.25]]).repeat(2, 100)
    best, order = top_candidates(scores, 350)
    expected = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :350]
    np.testing.assert_array_equal(order.numpy(), expected)
    np.testing.assert_array_equal(best.numpy(), np.take_along_axis(scores.numpy(), expected, 1))


@pytest.mark.parametrize("thresh, topk, post", [(0.45, 40, 15), (0.45, -1, -1), (0.0, 40, 15)])
@pytest.mark.parametrize("ties", [False, True])
def test_as_the_network_of_mxnet(thresh, topk, post, ties):
    arrays = heads(ties=ties)
    expected = [a.asnumpy() for a in Detect(3, thresh, topk, post)(*map(mx.nd.array, arrays))]
    found = found_by_torch(arrays, changed(thresh=thresh, topk=topk, post=post))
    count = (expected[0] >= 0).sum(axis=(1, 2))
    assert (count > 10).all()
    for a, b in zip(expected, found):
        rows = min(a.shape[1], b.shape[1])
        if thresh:  # else candidates that are none keep their boxes there
            assert (a[:, rows:] == -1).all() and (b[:, rows:] == -1).all()
            np.testing.assert_allclose(b[:, :rows], a[:, :rows], atol=1e-3 if a.shape[2] == 4 else 1e-6)
        else:
            some = expected[0][..., 0] >= 0
            np.testing.assert_array_equal(some, found[0][..., 0] >= 0)
            np.testing.assert_allclose(b[some], a[some], atol=1e-3 if a.shape[2] == 4 else 1e-6)


@pytest.mark.parametrize("thresh", [0.45, 1.5])
@pytest.mark.parametrize("force", [False, True])
def test_as_multi_box_detection_of_mxnet(force, thresh):
    arrays = heads(anchors=80, ties=True)
    logits, offsets, anchors = arrays
    scale = np.array([SIZE[1], SIZE[0]] * 2, np.float32)
    scores = torch.from_numpy(logits).softmax(-1).numpy().transpose(0, 2, 1)
    corners = center_to_corner(anchors[0])[None] / scale
    rows = mx.nd.contrib.MultiBoxDetection(
        mx.nd.array(scores), mx.nd.array(offsets.reshape(2, -1)), mx.nd.array(corners), nms_threshold=thresh, nms_topk=40,
        threshold=0.3, force_suppress=force,
    ).asnumpy()  # fmt: skip
    rule = changed(thresh=thresh, topk=40, post=-1, score=0.3, multi_box=True, by_class=not force, clip=True)
    ids, found, boxes = found_by_torch(arrays, rule)
    for image in range(2):
        expected = rows[image][rows[image, :, 0] >= 0]
        expected = expected[np.argsort(-expected[:, 1], kind="stable")]
        assert len(expected) > 5 and (ids[image] >= 0).sum() == len(expected)
        got = np.concatenate([ids[image], found[image], boxes[image] / scale], 1)[: len(expected)]
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RULES)
def test_a_gpu_finds_the_same(name):
    arrays = heads(anchors=200, ties=True)
    expected = found_by_torch(arrays, RULES[name])
    on_card = [torch.from_numpy(a).cuda() for a in arrays]
    for a, b in zip(expected, as_arrays(find_objects(*on_card, RULES[name], SIZE))):
        np.testing.assert_allclose(b, a, atol=1e-3)
