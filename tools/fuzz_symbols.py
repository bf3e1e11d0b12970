"""Feeds damaged symbols to the mxnet backend and to the ONNX export: python tools/fuzz_symbols.py --inputs 20000

Each input is one of four small detectors with 1 to 3 changed values in its JSON, or with changed attributes, inputs or heads.
mxnet finds objects in one image with it, and every second one is exported as ONNX and run by onnxruntime.

The first runs found errors of onnxruntime that named no file, and an IndexError for a node without inputs. Since then the inputs
and outputs of every node are counted before mxnet runs it. 20,000 inputs of seed 100 then found two operators that crash mxnet
although their shapes were inferred (Reshape to another number of values, where by a condition of another shape), and a TypeError
for a slice whose end is a list; 20,000 of seed 200 that onnx's shape inference crashes on negative sizes. All are refused now.
"""

import copy
import json
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.export.onnx_file import export_onnx
from ssdzoo.formats.params_file import write_params
from ssdzoo.model_source import resolve
from ssdzoo.predict.load import load
from tools.fuzzing import main, mutate_tree

SIZE = 64, 64
SIDECAR = 'base_size = [64, 64]\nclasses = ["a", "b"]\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n'
_ODD_ATTRIBUTES = (
    "0", "-1", "1", "2", "7", "65536", "2147483648", "99999999999999999999", "-9223372036854775808", "(0, 0)", "(-1, -1)", "()",
    "(1, 2)", "(1, 2, 3)", "(3, 3)", "(65536, 65536)", "None", "True", "a", "", "nan", "inf", "1e999", "1j", "(1", "'a'", "[[1]]",
    "0.5", "-0.5", "(0, 2, 3, 1)", "(9, 9, 9, 9)", "float16", "int8", "uint8", "avg", "full", "both", "(" * 500,
)  # fmt: skip


@lru_cache(maxsize=1)
def seeds() -> tuple:
    """(symbol's JSON, {name: array}) of detectors: MultiBoxDetection, the same by hand, box_nms, and rare layers."""
    from ssdzoo.runtime import mxnet

    mx = mxnet()
    found = []
    for make in (_multi_box, _by_hand, _box_nms, _rare):
        symbol, rng = make(mx.sym), np.random.default_rng(0)
        arguments, _, auxiliary = symbol.infer_shape(data=(1, 3, *SIZE))
        shapes = dict(zip(symbol.list_arguments(), arguments)) | dict(zip(symbol.list_auxiliary_states(), auxiliary))
        arrays = {name: np.abs(rng.normal(0, 0.2, shape)).astype(np.float32) for name, shape in shapes.items() if name != "data"}
        found.append((json.loads(symbol.tojson()), arrays))
    return tuple(found)


def _heads(sym, x, classes=2):
    """Scores (B, C + 1, N) and offsets (B, 4 * N) of a feature map with two anchors in each cell."""
    logits, offsets = (
        sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=2 * width, name=name)
        for name, width in (("cls", classes + 1), ("loc", 4))
    )
    logits, offsets = (sym.transpose(y, axes=(0, 2, 3, 1)) for y in (logits, offsets))
    logits = sym.reshape(logits, shape=(0, -1, classes + 1))
    return sym.transpose(sym.softmax(logits, axis=-1), axes=(0, 2, 1)), sym.Flatten(offsets)


def _body(sym):
    x = sym.Convolution(sym.var("data"), kernel=(3, 3), stride=(4, 4), num_filter=8, num_group=1, name="conv0")
    x = sym.Activation(sym.BatchNorm(x, name="norm0"), act_type="relu")
    return sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full")


def _multi_box(sym):
    x = _body(sym)
    anchors = sym.contrib.MultiBoxPrior(x, sizes=(0.3, 0.5), ratios=(1,))
    return sym.contrib.MultiBoxDetection(*_heads(sym, x), anchors, name="found", nms_topk=100)


def _by_hand(sym):
    x = sym.Pad(_body(sym), mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    parts = sym.split(x, num_outputs=2, axis=1)
    x = sym.concat(parts[0] * 2, sym.LeakyReLU(parts[1], act_type="leaky"), dim=1)
    x = sym.Dropout(sym.broadcast_add(x, sym.zeros_like(x)))
    anchors = sym.reshape(sym.contrib.MultiBoxPrior(x, sizes=(0.3, 0.5), ratios=(1,)), shape=(0, -1, 4))
    scores, offsets = _heads(sym, x)
    rows = sym.contrib.MultiBoxDetection(scores, offsets, anchors)
    return sym.slice_axis(sym.contrib.box_nms(rows, overlap_thresh=0.4, topk=50, coord_start=2, score_index=1, id_index=0),
                          axis=1, begin=0, end=20)  # fmt: skip


def _box_nms(sym):
    scores, offsets = _heads(sym, _body(sym))
    anchors = sym.reshape(sym.contrib.MultiBoxPrior(_body(sym), sizes=(0.3, 0.5), ratios=(1,)) * 64, shape=(1, -1, 4))
    boxes = sym.contrib.box_decode(sym.reshape(offsets, shape=(0, -1, 4)), anchors, std0=0.1, std1=0.1, format="corner")
    score = sym.slice_axis(sym.transpose(scores, axes=(0, 2, 1)), axis=-1, begin=1, end=2)
    ids = sym.where(score > 0.01, sym.zeros_like(score), sym.ones_like(score) * -1)
    rows = sym.contrib.box_nms(sym.concat(ids, score, boxes, dim=-1), id_index=0, score_index=1, coord_start=2, topk=40)
    return sym.Group([sym.slice_axis(rows, axis=-1, begin=b, end=e) for b, e in ((0, 1), (1, 2), (2, 6))])


def _rare(sym):
    x = _body(sym)
    x = sym.L2Normalization(sym.LRN(x, nsize=3), mode="channel")
    x = sym.UpSampling(x, scale=2, sample_type="nearest")
    x = sym.Deconvolution(x, kernel=(2, 2), stride=(2, 2), num_filter=8, name="up")
    level = sym.tile(sym.mean(x, axis=(2, 3), keepdims=True), reps=(1, 1, 1, 1))
    x = sym.broadcast_add(sym.slice_like(sym.clip(x, 0, 6), x, axes=(2, 3)), level)
    x = sym.squeeze(sym.expand_dims(sym.SwapAxis(sym.SwapAxis(x, dim1=2, dim2=3), dim1=2, dim2=3), axis=0), axis=0)
    x = sym.Pooling(x, kernel=(3, 3), stride=(3, 3), pool_type="avg")
    gate = sym.FullyConnected(sym.Flatten(sym.Pooling(x, global_pool=True, kernel=(1, 1))), num_hidden=8, name="gate")
    x = sym.broadcast_mul(x, sym.reshape(sym.sigmoid(gate), shape=(0, -1, 1, 1)))
    x = sym.add_n(x, sym.broadcast_like(sym.max(x, axis=1, keepdims=True), x), sym.sqrt(sym.abs(x)))
    scores, offsets = _heads(sym, x)
    return sym.contrib.MultiBoxDetection(scores, offsets, sym.contrib.MultiBoxPrior(x, sizes=(0.3, 0.5), ratios=(1,)))


def mutate(random, whole: dict) -> dict:
    """A symbol's JSON after 1 to 3 changes."""
    if random.integers(4) == 0:
        return mutate_tree(random, whole)
    whole = copy.deepcopy(whole)
    nodes = whole["nodes"]
    for _ in range(int(random.integers(1, 4))):
        node = nodes[int(random.integers(len(nodes)))]
        kind = int(random.integers(8))
        if kind <= 3 and node.get("attrs"):
            key = str(random.choice(list(node["attrs"])))
            node["attrs"][key] = _ODD_ATTRIBUTES[int(random.integers(len(_ODD_ATTRIBUTES)))]
        elif kind == 4 and node["inputs"]:
            node["inputs"][int(random.integers(len(node["inputs"])))] = [
                int(random.integers(len(nodes))),
                int(random.integers(9)),
                0,
            ]
        elif kind == 5 and node["inputs"]:
            at = int(random.integers(len(node["inputs"])))
            node["inputs"][at : at + 1] = [node["inputs"][at]] * int(random.choice([0, 2, 3]))
        elif kind == 6:
            node["op"] = nodes[int(random.integers(len(nodes)))]["op"]
        elif kind == 7:
            whole["heads"] = [[int(random.integers(len(nodes))), int(random.integers(3)), 0], *whole["heads"][1:]]
    return whole


def check(random, folder: Path) -> str:
    whole, arrays = seeds()[int(random.integers(len(seeds())))]
    with open(folder / "x-symbol.json", "w", encoding="utf-8", errors="surrogatepass") as file:
        json.dump(mutate(random, whole), file)
    if random.integers(8) == 0:  # parameters of another shape or type
        name = str(random.choice(list(arrays)))
        shape = [int(n) for n in random.integers(0, 5, int(random.integers(0, 5)))]
        arrays = {**arrays, name: np.ones(shape, str(random.choice(["f4", "f2", "i4", "u1"])))}
    write_params(folder / "x-0000.params", arrays)
    if random.integers(4):
        (folder / "x.toml").write_text(SIDECAR)
    else:
        (folder / "x.toml").write_text(
            f"base_size = [{int(random.choice([1, 7, 64, 65]))}, 64]\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n"
        )
    image = np.full((*SIZE, 3), 128, np.uint8)
    if random.integers(2):
        path = export_onnx(resolve(folder / "x"), folder / "x.onnx")
        load(path, "onnxruntime")([image], 0.0)
        return "exported and run"
    load(folder / "x", "mxnet")([image], 0.0)
    return "run by mxnet"


if __name__ == "__main__":
    os.environ.setdefault("MXNET_ENGINE_TYPE", "NaiveEngine")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(check, __doc__, memory=8192)
