"""Detectors that nobody's library built: plain convolutions, heads of two layers, `Pad`, and no array of anchors."""

import json

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.errors import ExportError, WeightsError
from ssdzoo.export.onnx.builder import Builder
from ssdzoo.formats.params_file import write_params
from ssdzoo.measure.compare import compare_heads, match_detections
from ssdzoo.runtime import mxnet
from ssdzoo.symbol_mxnet import check_shapes
from tests.hostile import limits  # noqa: F401

mx = mxnet()
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
SIDECAR = "base_size = [64, 96]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n"


def _body_and_heads(sym, classes, reshaped=None):
    """Class logits (B, N, C + 1), offsets (B, 4 * N) and normalized anchors (1, N, 4) of two feature maps."""
    x, logits, offsets, anchors = sym.var("data"), [], [], []
    for i, filters in enumerate((8, 16, 16)):
        x = sym.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
        x = sym.relu(sym.Convolution(x, kernel=(3, 3), stride=(2, 2), num_filter=filters, name=f"conv{i}"))
        if i == 0:
            continue
        for width, rows in ((classes + 1, logits), (4, offsets)):
            y = sym.relu(sym.Convolution(x, kernel=(1, 1), num_filter=8, name=f"head{i}_{width}_0"))
            y = sym.Convolution(y, kernel=(3, 3), pad=(1, 1), num_filter=3 * width, name=f"head{i}_{width}_1")
            rows.append(sym.Flatten(sym.transpose(y, axes=(0, 2, 3, 1))))
        grid = sym.zeros_like(sym.slice_axis(x, axis=1, begin=0, end=1))  # its shape alone is used
        sizes = (0.2 * i, 0.2 * i + 0.1)
        anchors.append(sym.contrib.MultiBoxPrior(sym.BlockGrad(grid), sizes=sizes, ratios=(1, 2)))
    logits = sym.Reshape(sym.concat(*logits, dim=1), shape=reshaped or (0, -1, classes + 1))
    return logits, sym.concat(*offsets, dim=1), sym.concat(*anchors, dim=1)


def multi_box(sym, classes=5):
    logits, offsets, anchors = _body_and_heads(sym, classes)
    scores = sym.softmax(sym.transpose(logits, axes=(0, 2, 1)), axis=1)
    return sym.contrib.MultiBoxDetection(scores, offsets, anchors, nms_topk=100, nms_threshold=0.4)


def box_nms(sym, classes=5, reshaped=None):
    """The rows of the best class of each anchor through box_nms, boxes in pixels."""
    logits, offsets, anchors = _body_and_heads(sym, classes, reshaped)
    scores = sym.slice_axis(sym.softmax(logits, axis=-1), axis=-1, begin=1, end=None)
    ids, best = sym.argmax(scores, axis=-1, keepdims=True), sym.max(scores, axis=-1, keepdims=True)
    offsets = sym.Reshape(offsets, shape=(0, -1, 4))
    size = sym.concat(*[sym.ones((1, 1, 1)) * n for n in (96, 64, 96, 64)], dim=2)
    pixels = sym.broadcast_mul(anchors, size)
    boxes = sym.contrib.box_decode(offsets * 0.1, pixels, format="corner")
    rows = sym.concat(ids + sym.zeros_like(best), best, boxes, dim=2)
    return sym.contrib.box_nms(rows, overlap_thresh=0.4, valid_thresh=0.2, topk=100, id_index=0)


def export(make, folder, sidecar=SIDECAR):
    symbol, rng = make(mx.sym), np.random.default_rng(0)
    names, shapes = symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 64, 96))[0]
    arrays = {f"arg:{n}": rng.normal(0, 0.2, s).astype(np.float32) for n, s in zip(names, shapes) if n != "data"}
    symbol.save(str(folder / "hand-symbol.json"))
    write_params(folder / "hand-0000.params", arrays)
    (folder / "hand.toml").write_text(sidecar)
    return folder / "hand"


@pytest.mark.parametrize("make", [multi_box, box_nms])
@pytest.mark.parametrize("classes", [[], ["a", "b", "c", "d", "e"]])
def test_mxnet_and_onnxruntime_find_the_same(make, classes, tmp_path):
    path = export(make, tmp_path, SIDECAR + (f"classes = {json.dumps(classes)}\n" if classes else ""))
    a, b = (ssdzoo.load(path, backend) for backend in ("mxnet", "onnxruntime"))
    assert a.names == b.names == (classes or [f"class {i}" for i in range(5)])
    assert a.size == b.size == (64, 96)
    first, second = (detector(PHOTO, 0.0)[0] for detector in (a, b))
    match = match_detections(first, second, 0.1, 1e-4)
    assert len(match.pairs) > 10 and not len(match.missing) and not len(match.extra)
    assert match.pixels.max() < 0.01 and match.scores.max() < 1e-5
    assert first.boxes.max() > 20  # pixels, not normalized coordinates
    assert "not_compared" in compare_heads(a, b, [PHOTO])


def test_classes_that_cannot_be_counted(tmp_path):
    path = export(lambda sym: box_nms(sym, reshaped="(-1, 1440, 6)"), tmp_path)
    with pytest.raises(WeightsError, match=r"its classes can't be counted: write classes = \[NAMES\] into .*hand.toml"):
        ssdzoo.load(path)
    path.with_suffix(".toml").write_text(SIDECAR + 'classes = ["a", "b", "c", "d", "e"]\n')
    assert ssdzoo.load(path).names == ["a", "b", "c", "d", "e"]


def test_outputs_that_are_no_detections(tmp_path):
    path = export(lambda sym: sym.slice_axis(multi_box(sym), axis=2, begin=0, end=5), tmp_path)
    with pytest.raises(ExportError, match=r"its outputs \(1, 1440, 5\) are no detections: neither \(B, K, 6\) nor ids"):
        ssdzoo.load(path)
    with pytest.raises(ExportError, match=r"its outputs .* are neither \(B, K, 6\) nor ids"):
        ssdzoo.load(path, "onnxruntime")


@pytest.mark.parametrize("change, message", [
    (lambda conv: conv["inputs"].pop(), r"node 'conv0' \(Convolution\) has 2 inputs; its operator has 3"),
    (lambda conv: conv["inputs"].append([0, 0, 0]), "has 4 inputs; its operator has 3"),
    (lambda conv: conv["inputs"].__setitem__(0, [1, 2, 0]), r"node 'pad\d+' \(Pad\) has no output 2"),
    (lambda conv: conv["attrs"].update(num_group="3"), "hand-symbol.json: .*in operator conv0"),
])  # fmt: skip
def test_what_mxnet_would_crash_on_is_refused(change, message, tmp_path):
    path = export(multi_box, tmp_path)
    symbol = path.with_name("hand-symbol.json")
    whole = json.loads(symbol.read_text())
    change(next(node for node in whole["nodes"] if node["name"] == "conv0"))
    symbol.write_text(json.dumps(whole))
    with pytest.raises(ExportError, match=message):
        ssdzoo.load(path)


def test_shapes_that_mxnet_infers_and_crashes_on():
    """Its operators would write and read beyond their memory."""
    image, x, y = mx.sym.var("data"), mx.sym.var("x"), mx.sym.var("y")
    size = (1, 3, 4, 4)
    assert check_shapes(mx.sym.where(x > 0, x, y), "f", x=(1, 5, 1), y=(1, 5, 1)) == [(1, 5, 1)]
    with pytest.raises(ExportError, match=r"\(where\) chooses by \(1, 3, 4, 4\) between values \(1, 5, 1\)"):
        check_shapes(mx.sym.where(image > 0, x, y), "f", data=size, x=(1, 5, 1), y=(1, 5, 1))
    assert check_shapes(mx.sym.Reshape(image, shape=(0, -1)), "f", data=size) == [(1, 48)]
    whole = json.loads(mx.sym.Reshape(image, shape=(0, -1)).tojson())
    whole["nodes"][1]["attrs"]["shape"] = "0"
    with pytest.raises(ExportError, match=r"\(Reshape\) makes \(1,\) of \(1, 3, 4, 4\)"):
        check_shapes(mx.sym.load_json(json.dumps(whole)), "f", data=size)


def test_a_kernel_larger_than_the_image():
    """Its output has a negative size, which onnx's shape inference gives, and crashes on in a later node."""
    g = Builder(17)
    image, weight = g.input("data", [1, 3, 4, 4]), np.ones((2, 3, 9, 9), np.float32)
    with pytest.raises(ValueError, match="Conv makes an axis of -4 values"):
        g.add("Conv", image, weight, kernel_shape=[9, 9])
    assert g.add("Conv", image, weight, kernel_shape=[9, 9], pads=[3] * 4).dims == [1, 2, 2, 2]
