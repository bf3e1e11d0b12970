"""Every architecture of the table: a training step, saving and loading, and the exported symbol."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.model_source import resolve
from ssdzoo.predict.backends.mxnet import symbol_block
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.networks import as_numpy, images, network_anchors

mx = mxnet()


def network(name):
    mx.random.seed(0)
    net = ssdzoo.get_model(name, classes=["a", "b", "c"])
    net.initialize(mx.init.Xavier())
    return net


# All together take minutes. By default there is one for each kind of backbone, of feature maps and of heads.
QUICK = (
    "ssd_300_vgg11_bn_atrous_custom", "ssd_300_resnet18_v1_custom", "ssd_512_resnet50_v1_custom",
    "ssd_300_resnet50_fpn_custom", "ssd_300_mobilenet0.25_custom", "ssd_512_mobilenet0.25_s8_custom",
    "ssd_320x512_mobilenet1.0_s8_custom", "ssd_300_mobilenet1.0_lite_custom", "ssd_320_mobilenetv2_1.0_lite_custom",
)  # fmt: skip
ALL = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in ssdzoo.list_models("*_custom")]


@pytest.mark.parametrize("name", ALL)
def test_training_saving_and_export(name, tmp_path):
    small = not name.startswith(("ssd_300_vgg", "ssd_512_vgg", "ssd_300_resnet34"))
    x = images(1, *((64, 96) if small else (260, 260)))
    net = network(name)
    assert all((p.data().asnumpy() == 1).all() for n, p in net.collect_params().items() if n.endswith("gamma"))
    with mx.autograd.record():
        logits, offsets, anchors = net(x)
        loss = (logits**2).mean() + (offsets**2).mean()
    loss.backward()
    count = sum(h * w * g.num_depth for (h, w), g in zip(net.map_sizes(*x.shape[2:]), net.anchor_generators))
    assert (logits.shape, offsets.shape, anchors.shape) == ((1, count, 4), (1, count, 4), (1, count, 4))
    gradients = [p.grad().norm().asscalar() for n, p in net.features.collect_params(".*weight").items() if p.grad_req != "null"]
    assert np.isfinite(gradients).all() and np.count_nonzero(gradients) > 0.6 * len(gradients)
    expected = as_numpy(net(x))
    net.save_parameters(str(tmp_path / "net.params"))
    again = ssdzoo.get_model(name, classes=["a", "b", "c"])
    again.load_parameters(str(tmp_path / "net.params"))
    again.hybridize()
    for a, b in zip(expected, as_numpy(again(x))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    net.export(str(tmp_path / "net"))
    block = symbol_block(resolve(tmp_path / "net"))
    for a, b in zip(expected, as_numpy(block(x))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    again.load_parameters(str(tmp_path / "net-0000.params"))  # flat names, of another network of the process


@pytest.mark.parametrize("name", ALL)
def test_anchors_cover_the_input(name):
    net, (height, width) = ssdzoo.get_model(name, classes=["a"]), find_preset(name).base_size
    for (rows, columns), generator in zip(net.map_sizes(height, width), net.anchor_generators):
        x, y = generator.anchors.value.asnumpy()[0, 0, rows - 1, columns - 1, :2]
        np.testing.assert_allclose([x, y], [width - width / columns / 2, height - height / rows / 2], rtol=1e-5)


@pytest.mark.parametrize(
    "name, maps, sizes",
    [
        ("ssd_512_resnet50_fpn_voc", [64, 32, 16, 8, 4, 2, 1], [35.84, 76.8, 153.6, 230.4, 307.2, 384, 460.8]),
        ("ssd_512_resnet50_fpn_custom", [64, 32, 16, 8, 4, 2, 1], [20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8]),
        ("ssd_300_resnet50_fpn_voc", [38, 19, 10, 5, 3, 2], [30, 60, 111, 162, 213, 264]),
        ("ssd_300_resnet50_fpn_coco", [38, 19, 10, 5, 3, 2], [21, 45, 99, 153, 207, 261]),
        ("ssd_300_vgg16_bn_atrous_custom", [38, 19, 10, 5, 3, 1], [21, 45, 99, 153, 207, 261]),
        ("ssd_512_vgg16_bn_atrous_custom", [64, 32, 16, 8, 4, 2, 1], [20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8]),
        ("ssd_300_vgg16_bn_custom", [38, 19, 10, 5, 3, 1], [21, 45, 99, 153, 207, 261]),
        ("ssd_300_vgg11_bn_atrous_custom", [38, 19, 10, 5, 3, 1], [21, 45, 99, 153, 207, 261]),
        ("ssd_300_vgg19_bn_atrous_custom", [38, 19, 10, 5, 3, 1], [21, 45, 99, 153, 207, 261]),
        ("ssd_320_mobilenetv2_1.0_lite_custom", [20, 10, 5, 3, 2, 1], [64, 112, 160, 208, 256, 304]),
        ("ssd_300_resnet18_v1_custom", [38, 19, 10, 5, 3, 2], [21, 45, 99, 153, 207, 261]),
        ("ssd_300_mobilenet0.5_custom", [19, 10, 5, 3, 2, 1], [21, 45, 99, 153, 207, 261]),
        ("ssd_300_mobilenet0.25_s8_custom", [38, 19, 10, 5, 3, 2], [21, 45, 99, 153, 207, 261]),
        ("ssd_512_mobilenet1.0_s8_custom", [64, 32, 16, 8, 4, 2, 1], [20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8]),
    ],
)
def test_maps_and_sizes(name, maps, sizes):
    net = ssdzoo.get_model(name, classes=["a"])
    assert net.map_sizes(*net.base_size) == [(n, n) for n in maps]
    first = [g.anchors.value.asnumpy()[0, 0, 0, 0, 2] for g in net.anchor_generators]
    np.testing.assert_allclose(first, sizes, rtol=1e-6)


def test_a_pyramid_learns_in_all_its_parts():
    net = ssdzoo.get_model("ssd_300_resnet50_fpn_voc")
    assert len(net.classes) == 20 and find_preset("ssd_300_resnet50_fpn_voc").class_loss == "focal"
    parameters = net.features.collect_params(".*(weight|gamma|beta|bias)").values()
    assert {p.grad_req for p in parameters} == {"write"}
    assert find_preset("ssd_300_vgg16_atrous_voc").class_loss == "ohem"


def test_wrong_pyramids():
    def build(backbone, features, filters):
        ssdzoo.get_ssd(backbone, 64, features, filters, [10, 20, 30], [[1]] * 2, None, ["a"])

    with pytest.raises(CallError, match=r"features out of stage1, .* not \['layer2'\] and \[64\]"):
        build("resnet18_v1_fpn", ["layer2"], [64])
    with pytest.raises(CallError, match=r"filters that are equal, not \['stage4'\] and \[64, 32\]"):
        build("resnet18_v1_fpn", ["stage4"], [64, 32])
    with pytest.raises(CallError, match="rising stages"):
        build("resnet18_v1_fpn", ["stage4", "stage3"], [])
    with pytest.raises(CallError, match="no ResNet 'vgg16'"):
        build("vgg16_fpn", ["stage4"], [64])
    with pytest.raises(CallError, match="needs features"):
        build("resnet18_v1_fpn", None, [64])


def test_heads_of_vgg300_for_21_classes():
    net = ssdzoo.get_model("ssd_300_vgg16_atrous_voc")
    channels = [[h.predictor.weight.shape[0] for h in heads] for heads in (net.box_predictors, net.class_predictors)]
    assert channels == [[16, 24, 24, 24, 16, 16], [84, 126, 126, 126, 84, 84]]


def test_sizes_of_vgg300_follow_from_the_smallest_and_the_largest_scale():
    """Liu et al. 2016, equation 4 in whole percents over the last five maps, with half the least scale for the first."""
    low, high = 20, 90
    step = (high - low) // 4
    expected = [300 * low / 2 / 100] + [300 * (low + k * step) / 100 for k in range(5)]
    assert expected == [30, 60, 111, 162, 213, 264]
    assert list(find_preset("ssd_300_vgg16_atrous_voc").sizes[:-1]) == expected


def test_ssdlite():
    """Sandler et al. 2018, table 6: 4.3 million parameters for COCO, with 3 anchors at a pixel of the first map; here are 6."""
    net = ssdzoo.get_model("ssd_320_mobilenetv2_1.0_lite_custom", classes=[str(i) for i in range(80)])
    assert [h.depthwise.weight.shape for h in net.box_predictors] == [(c, 1, 3, 3) for c in (576, 1280, 512, 256, 256, 128)]
    assert [h.predictor.weight.shape[:2] for h in net.class_predictors][:2] == [(6 * 81, 576), (6 * 81, 1280)]
    assert network_anchors(net).shape == (6 * (400 + 100 + 25 + 9 + 4 + 1), 4)
    layers = {n.split("expand_")[1]: p.shape for n, p in net.collect_params(".*expand_.*weight").items()}
    for i, (depth, filters) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128))):
        assert layers[f"depthwise_conv{i}_weight"] == (depth, 1, 3, 3)
        assert layers[f"trans_conv{i}_weight"][0] == depth and layers[f"conv{i}_weight"] == (filters, depth, 1, 1)
    learned = sum(np.prod(p.shape) for p in net.collect_params().values() if p.grad_req != "null")
    assert learned == 4_485_236 and round((learned - 3 * (81 + 4) * 577) / 1e6, 1) == 4.3


def test_a_rectangular_row():
    net = ssdzoo.get_model("ssd_320x512_mobilenet1.0_s8_custom", classes=["a"])
    assert net.base_size == (320, 512)
    assert net.map_sizes(320, 512) == [(40, 64), (20, 32), (10, 16), (5, 8), (3, 4), (2, 2), (1, 1)]
    first = [g.anchors.value.asnumpy()[0, 0, 0, 0] for g in net.anchor_generators]
    np.testing.assert_allclose([a[2] for a in first], [12.8, 32, 83.2, 134.4, 185.6, 236.8, 288], rtol=1e-6)
    np.testing.assert_allclose(first[4][:2], [512 / 4 / 2, 320 / 3 / 2], rtol=1e-6)
    anchors = network_anchors(net)
    assert anchors[:, 0].max() > 500 and 310 < anchors[:, 1].max() < 320
