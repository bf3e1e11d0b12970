import importlib

import numpy as np
import pytest

import ssdzoo
from ssdzoo.costs import Cost, network_cost, symbol_cost
from ssdzoo.runtime import gluoncv, mxnet

mx = mxnet()
sym = mx.sym
STATISTICS = ("running_", "moving_")  # names of those of batch norms, of blocks and of symbols


def test_a_small_network_by_hand():
    x = sym.Convolution(sym.var("data"), kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name="plain")
    x = sym.Activation(sym.BatchNorm(x, name="norm"), act_type="relu")
    x = sym.Convolution(x, kernel=(3, 3), pad=(1, 1), stride=(2, 2), num_filter=4, num_group=4, name="depthwise")
    x = sym.Deconvolution(x, kernel=(2, 2), stride=(2, 2), num_filter=2, name="larger")
    x = sym.FullyConnected(
        sym.broadcast_add(x, sym.sum(sym.var("anchors", shape=(7, 4))).reshape((1, 1, 1, 1))), num_hidden=5, name="dense"
    )
    # 8 x 8 pixels of 4 sums of 27; 4 x 4 of 4 sums of 9; 4 x 4 of 4 values, each into 2 x 2 pixels of 2; 5 sums of 128.
    macs = 8 * 8 * 4 * 27 + 4 * 4 * 4 * 9 + 4 * 4 * 4 * 8 + 5 * 128
    parameters = 4 * 27 + 2 * 4 + (4 * 9 + 4) + 4 * 2 * 4 + (5 * 128 + 5)
    assert symbol_cost(x, (1, 3, 8, 8), ["anchors"]) == Cost(parameters, macs) == Cost(833, 8640)
    assert symbol_cost(x, (1, 3, 8, 8)).parameters == 833 + 28


def test_a_weight_that_is_used_twice_is_one_parameter_and_twice_the_work():
    data, weight = sym.var("data"), sym.var("weight")
    convs = [sym.Convolution(x, weight, kernel=(1, 1), num_filter=2, no_bias=True) for x in (data, data * 2)]
    assert symbol_cost(sym.Group(convs), (1, 3, 5, 5)) == Cost(6, 2 * 25 * 6)


def test_published_numbers():
    """62.8 GFLOP of the paper's network; torchvision's ssd300_vgg16 (91 slots): its documentation gives 35641826 and 34.858."""
    cost = network_cost(ssdzoo.get_model("ssd_300_vgg16_atrous_voc"))
    assert round(2 * cost.macs / 1e9, 1) == 62.7 and cost.parameters == 26285486
    cost = network_cost(ssdzoo.get_model("ssd_300_vgg16_atrous_coco", classes=[str(i) for i in range(90)]))
    assert cost.parameters == 35641826 and round(cost.macs / 1e9, 3) == 34.858


@pytest.mark.parametrize("name", ["ssd_300_mobilenet0.25_voc", "ssd_512_resnet18_v1_coco", "ssd_300_resnet34_v1b_voc"])
def test_gluoncv_counts_as_many_parameters(name):
    gluoncv()
    presets = importlib.import_module("gluoncv.model_zoo.ssd.presets")
    net = getattr(presets, name.replace(".", "_"))(pretrained=False, pretrained_base=False)
    net.initialize()
    net(mx.nd.zeros((1, 3, 300, 300)))
    learned = {n: p for n, p in net.collect_params().items() if not any(part in n for part in ("anchor_", *STATISTICS))}
    expected = sum(int(np.prod(p.shape)) for p in learned.values())
    assert network_cost(ssdzoo.get_model(name)).parameters == expected


def test_parameters_are_those_of_the_file(tmp_path):
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a"])
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / "net.params"))
    arrays = ssdzoo.weights.read_params(tmp_path / "net.params")
    learned = {n: a for n, a in arrays.items() if not any(part in n for part in ("anchors", *STATISTICS))}
    assert network_cost(net).parameters == sum(a.size for a in learned.values())


def test_frozen_layers_count():
    net = ssdzoo.get_model("ssd_300_resnet18_v1_custom", classes=["a"])
    before = network_cost(net)
    net.collect_params().setattr("grad_req", "null")
    assert network_cost(net) == before
