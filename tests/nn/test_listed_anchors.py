"""A network whose anchors are listed one by one in its table (dmlc/gluon-cv issue 473: any number of sizes for each map)."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.anchors.levels import best_of_all
from ssdzoo.boxes import center_to_corner, iou
from ssdzoo.errors import CallError
from ssdzoo.model_source import resolve
from ssdzoo.nn.anchors import LiteAnchorGenerator, network_levels
from ssdzoo.predict.backends.mxnet import symbol_block
from ssdzoo.preset import check_preset
from ssdzoo.runtime import mxnet
from ssdzoo.train.mxnet.targets import TargetGenerator
from ssdzoo.zoo import find_preset
from tests.anchors.test_levels import random_boxes
from tests.networks import as_numpy, images, network_anchors

mx = mxnet()

SIZES, RATIOS = [[10, 14, 12, 21.5], [30], [40, 55]], [[1, 1, 0.4, 2], [1.5], [1, 1]]
ROW = {
    "name": "listed", "backbone": "mobilenet0.25", "base_size": 96, "features": ["relu10_fwd", "relu22_fwd"], "filters": [32],
    "sizes": SIZES, "ratios": RATIOS,
}  # fmt: skip


def network(classes=("a", "b", "c"), seed=0, **changes):
    mx.random.seed(seed)
    net = ssdzoo.get_model(check_preset({**ROW, **changes}, "row"), classes=list(classes))
    net.initialize(mx.init.Xavier())
    return net


def test_anchors_and_heads():
    net = network()
    expected = []
    for (rows, columns), sizes, ratios in zip(net.map_sizes(96, 96), SIZES, RATIOS):
        for i in range(rows):
            for j in range(columns):
                center = (j + 0.5) * 96 / columns, (i + 0.5) * 96 / rows
                expected += [[*center, size * ratio**0.5, size / ratio**0.5] for size, ratio in zip(sizes, ratios)]
    np.testing.assert_allclose(network_anchors(net), expected, rtol=1e-6)
    assert len(expected) == 12 * 12 * 4 + 6 * 6 + 3 * 3 * 2
    channels = [[h.predictor.weight.shape[0] for h in heads] for heads in (net.box_predictors, net.class_predictors)]
    assert channels == [[16, 4, 8], [16, 4, 8]]


@pytest.mark.parametrize("name", ["ssd_300_vgg16_atrous_voc", "ssd_300_mobilenet0.25_custom"])
def test_a_row_of_gluoncv_listed_one_by_one_is_the_same_to_the_last_bit(name):
    preset = find_preset(name)
    sizes, ratios = [], []
    for size, following, own in zip(preset.sizes, preset.sizes[1:], preset.ratios):
        sizes.append([size, np.sqrt(size * following)] + [size] * (len(own) - 1))
        ratios.append([1, *own])
    flat = ssdzoo.get_model(name, classes=["a"])
    listed = ssdzoo.get_model(name, classes=["a"], sizes=sizes, ratios=ratios)
    for a, b in zip(flat.anchor_generators, listed.anchor_generators):
        np.testing.assert_array_equal(a.anchors.value.asnumpy(), b.anchors.value.asnumpy())
    assert {n: p.shape for n, p in flat._collect_params_with_prefix().items()} == {
        n: p.shape for n, p in listed._collect_params_with_prefix().items()
    }


def test_training_saving_and_export(tmp_path):
    net, x = network(), images(2)
    with mx.autograd.record():
        logits, offsets, anchors = net(x)
        loss = (logits**2).mean() + (offsets**2).mean()
    loss.backward()
    assert (logits.shape, offsets.shape, anchors.shape) == ((2, 630, 4), (2, 630, 4), (1, 630, 4))
    expected = as_numpy(net(x))
    net.save_parameters(str(tmp_path / "net.params"))
    again = network(seed=1)
    again.load_parameters(str(tmp_path / "net.params"))
    again.hybridize()
    net.export(str(tmp_path / "net"))
    for block in (again, symbol_block(resolve(tmp_path / "net"))):
        for a, b in zip(expected, as_numpy(block(x))):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_onnx(tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    from ssdzoo.export import to_onnx

    net, x = network(), images(2)
    net.export(str(tmp_path / "net"))
    to_onnx(tmp_path / "net-symbol.json", tmp_path / "net-0000.params", tmp_path / "net.onnx", size=(96, 96), raw=True)
    found = runtime.InferenceSession(str(tmp_path / "net.onnx")).run(None, {"images": x.asnumpy()})
    for a, b in zip(found, as_numpy(net.head_outputs(x))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_every_anchor_can_be_a_target():
    net = network()
    anchors = network_anchors(net)
    corners = mx.nd.array(center_to_corner(anchors[[0, 575, 576, 629]])).expand_dims(0)
    classes, _ = TargetGenerator()(mx.nd.array(anchors).expand_dims(0), corners, mx.nd.array([[0, 1, 2, 0]]))
    assert classes[0, [0, 575, 576, 629]].asnumpy().tolist() == [1, 2, 3, 1]


def test_other_classes_keep_their_rows():
    net = network()
    before = net.class_predictors[0].predictor.weight.data().asnumpy().reshape(4, 4, -1)  # anchors, classes
    net.reset_class(["d", "b"], reuse_weights=["b"])
    after = net.class_predictors[0].predictor.weight.data().asnumpy().reshape(4, 3, -1)
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])


def test_a_larger_input_gets_the_same_anchors():
    net = network()
    anchors = net.head_outputs(mx.nd.zeros((1, 3, 96, 1200)))[2].asnumpy()[0]
    rows, columns = net.map_sizes(96, 1200)[0]
    last = [(columns - 0.5) * 8, (rows - 0.5) * 8, 21.5 * 2**0.5, 21.5 / 2**0.5]
    np.testing.assert_allclose(anchors[rows * columns * 4 - 1], last, rtol=1e-5)


def test_levels_of_a_network_hold_its_anchors():
    for net in (network(), ssdzoo.get_model("ssd_300_mobilenet0.25_voc"), ssdzoo.get_model("ssd_300_mobilenet1.0_lite_coco")):
        boxes = random_boxes(50, *net.base_size)
        expected = iou(boxes, center_to_corner(network_anchors(net))).max(axis=1)
        levels = network_levels(net)
        np.testing.assert_allclose(best_of_all(boxes, levels)[0], expected, atol=1e-5)
        assert sum(level.total for level in levels) == len(network_anchors(net))


def test_wrong_lists():
    def build(sizes, ratios, **kwargs):
        ssdzoo.get_ssd("mobilenet0.25", 96, ["relu10_fwd"], [32], sizes, ratios, None, ["a"], **kwargs)

    with pytest.raises(CallError, match="feature map 1 has 1 sizes and 2 ratios; listed anchors need one of each"):
        build([[10, 20], [30]], [[1, 1], [1, 2]])
    with pytest.raises(
        CallError, match="2 feature maps, so 2 lists of sizes, 2 lists of ratios and 2 steps are expected, not 3, 2"
    ):
        build([[10, 20], [30], [40]], [[1, 1], [1]])
    build([[10, 20], [30]], [[1, 1], [1]], anchor_generator=LiteAnchorGenerator)  # the lists say all
