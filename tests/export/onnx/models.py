"""What the tests of the ONNX exporter share: networks that look trained, photos, and running both sides."""

import numpy as np
import onnx
import onnxruntime

import ssdzoo
from ssdzoo.boxes import iou
from ssdzoo.data.images import read_image
from ssdzoo.data.loading.transforms import eval_transform
from ssdzoo.export.onnx.builder import Builder
from ssdzoo.export.onnx.fold_norms import fold_norms
from ssdzoo.export.onnx.translate import translate
from ssdzoo.formats.graph_input import input_of
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.networks import initialize
from tests.shared import BCCD

mx = mxnet()


def photos(size, count):
    """(count, 3, H, W) float32, normalized."""
    preset = find_preset("ssd_300_vgg16_atrous_voc")
    files = sorted((BCCD / "JPEGImages").glob("*.jpg"))[:count]
    pixels = np.stack([eval_transform(read_image(f), size) for f in files]) / 255.0
    return ((pixels - preset.mean) / preset.std).transpose(0, 3, 1, 2).astype(np.float32)


def trained_looking(name, batch):
    """A network whose BatchNorms have seen a batch (B, 3, H, W), and whose heads give hundreds of boxes above the threshold."""
    rng = np.random.default_rng(1)
    net = ssdzoo.get_model(name, classes=["a", "b", "c"] if str(name).endswith("custom") else None)
    initialize(net, seed=1)
    x = mx.nd.array(batch)
    norms = []
    net.apply(lambda block: norms.append(block) if isinstance(block, mx.gluon.nn.BatchNorm) else None)
    for norm in norms:
        norm._kwargs["momentum"] = 0  # one batch is enough for the running averages
    if norms:
        with mx.autograd.train_mode():
            net(x)
    for norm in norms:
        norm._kwargs["momentum"] = 0.9
    for feature_map, classes, boxes in zip(net.features(x), net.class_predictors, net.box_predictors):
        for head, spread in ((classes, 1.5), (boxes, 0.8)):
            conv = head.predictor
            # Features are positive, so a random head gives each channel a level of its own, above which it hardly moves: on a
            # pyramid one class then wins everywhere. The bias takes that level away.
            outputs = head(feature_map).asnumpy()
            level = outputs.mean((0, 2, 3))
            scale = spread / max((outputs - level[:, None, None]).std(), 0.1 * outputs.std())
            conv.weight.set_data(conv.weight.data() * scale)
            bias = -level * scale
            if head is classes:
                bias += rng.normal(0, 0.5, conv.bias.shape)
                bias[:: net.num_classes + 1] += 2
            conv.bias.set_data(mx.nd.array(bias))
    return net


def pair(path) -> tuple:
    """The symbol's file and the arrays of an exported pair."""
    arrays = mx.nd.load(f"{path}-0000.params")
    return f"{path}-symbol.json", {name: array.asnumpy() for name, array in arrays.items()}


def run_onnx(path, images):
    """{output: array} of a model file, or of a ModelProto."""
    source = path.SerializeToString() if isinstance(path, onnx.ModelProto) else str(path)
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"images": images})))


def run_mxnet(net, images):
    """(B, K) ids and scores, and (B, K, 4) boxes, image by image."""
    rows = zip(*([o.asnumpy()[0] for o in net(mx.nd.array(image[None]))] for image in images))
    ids, scores, boxes = (np.stack(r) for r in rows)
    return ids[..., 0], scores[..., 0], boxes


SIDE = 1e-4  # pixels of error per pixel of a box's side: decoding multiplies the anchor's side by exp of an offset
NMS = 0.45  # of the presets


def assert_same_detections(expected, found, pixels=0.05, score=1e-4, tie=1e-5):
    """Every detection in the same place of the order, or in that of a neighbor whose score is the same but for `tie`, less than
    which runtimes round differently; returns how many there are.

    Of two boxes of a class and of the same score that overlap, NMS keeps one: either may stand for the other.
    """
    ids, scores, boxes = expected
    np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=score)
    for image in range(len(ids)):
        free = list(range(ids.shape[1]))
        for row in range(ids.shape[1]):
            box, others = boxes[image, row], found["boxes"][image]
            same = [i for i in free if found["class_ids"][image, i] == ids[image, row]]
            tied = [i for i in same if abs(found["scores"][image, i] - scores[image, row]) <= tie]
            most = max(pixels, SIDE * (box[2:] - box[:2]).max())
            alike = [i for i in same if (i in tied or i == row) and np.abs(others[i] - box).max() <= most]
            alike = alike or [i for i in tied if iou(box[None], others[i][None])[0, 0] > NMS]
            assert alike, f"image {image}, row {row}: {ids[image, row]} {scores[image, row]} {box}"
            free.remove(row if row in alike else alike[0])
    return int((ids >= 0).sum())


def run_symbol(symbol, opset=17, dims=None, fold=False, **arrays):
    """Outputs of a symbol of the variable `data` and of parameters, in mxnet and through ONNX: two lists. With `fold` batch norms
    are folded before."""
    given = {name: mx.nd.array(array) for name, array in arrays.items()}
    auxiliary = {name: given.pop(name) for name in symbol.list_auxiliary_states()}
    expected = [o.asnumpy() for o in symbol.bind(mx.cpu(), given, aux_states=auxiliary).forward(is_train=False)]
    data = np.asarray(arrays.pop("data"), np.float32)
    graph, g = read_symbol(symbol.tojson()), Builder(opset)
    if fold:
        graph, arrays = fold_norms(graph, arrays)
    image = g.input("images", dims or ["batch", *data.shape[1:]])
    done = translate(g, graph, arrays, input_of(graph, arrays).name, image)
    model = g.model({f"out{i}": (v, [None] * v.rank) for i, v in enumerate(done.outputs)}, {}, "")
    onnx.checker.check_model(model, full_check=True)
    return expected, list(run_onnx(model, data).values())


def older_symbol(classes=3):
    """An SSD as mxnet-ssd built it in 2016: MultiBoxPrior, softmax over channels, MultiBoxDetection."""
    data, maps = mx.sym.var("data"), []
    x = data
    for i, filters in enumerate((8, 16, 16)):
        x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), stride=(2, 2), num_filter=filters, name=f"conv{i}")
        x = mx.sym.Activation(mx.sym.BatchNorm(x, name=f"bn{i}"), act_type="relu")
        x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full")
        maps.append(x)
    maps[1] = mx.sym.broadcast_mul(mx.sym.L2Normalization(maps[1], mode="channel"), mx.sym.var("scale", shape=(1, 16, 1, 1)))
    logits, offsets, anchors = [], [], []
    for i, x in enumerate(maps[1:]):
        for what, width, rows in (("cls", classes + 1, logits), ("loc", 4, offsets)):
            y = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4 * width, name=f"{what}{i}")
            rows.append(mx.sym.Flatten(mx.sym.transpose(y, axes=(0, 2, 3, 1))))
        sizes = (0.2 + 0.3 * i, 0.3 + 0.3 * i)
        anchors.append(mx.sym.Flatten(mx.sym.contrib.MultiBoxPrior(x, sizes=sizes, ratios=(1, 2, 0.5))))
    logits = mx.sym.reshape(mx.sym.concat(*logits, dim=1), shape=(0, -1, classes + 1))
    scores = mx.sym.SoftmaxActivation(mx.sym.transpose(logits, axes=(0, 2, 1)), mode="channel")
    anchors = mx.sym.reshape(mx.sym.concat(*anchors, dim=1), shape=(0, -1, 4))
    return mx.sym.contrib.MultiBoxDetection(
        scores, mx.sym.concat(*offsets, dim=1), anchors, name="detection", nms_threshold=0.5, nms_topk=400,
        force_suppress=False, variances=(0.1, 0.1, 0.2, 0.2),
    )  # fmt: skip
