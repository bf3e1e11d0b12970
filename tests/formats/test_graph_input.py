"""What a graph says about the images that it takes, read from the arithmetic before its first layer."""

import json

import numpy as np
import pytest

from ssdzoo.errors import CallError, ExportError
from ssdzoo.formats.graph_input import GraphInput, input_of
from ssdzoo.formats.symbol_file import read_symbol

WEIGHTS = {
    "mean": np.float32([123.7, 116.3, 103.5]).reshape(1, 3, 1, 1), "std": np.float32([58.4, 57.1, 57.4]).reshape(1, 3, 1, 1),
    "unit_mean": np.float32([0.485, 0.456, 0.406]), "unit_std": np.float32([0.229, 0.224, 0.225]),
    "init_scale": 255 * np.float32([0.229, 0.224, 0.225]), "ones": np.ones(3, np.float32), "inverse": np.full(1, 1 / 255),
    "weight": np.zeros((8, 3, 3, 3)),
}  # fmt: skip


def graph(*steps, data="data", layer="Convolution"):
    """data -> steps -> layer. A step is (operator, name of a parameter or None, attributes)."""
    nodes = [{"op": "null", "name": data, "inputs": []}]
    at = 0

    def add(op, name, inputs, **attrs):
        nodes.append({"op": op, "name": name, "inputs": [[i, 0, 0] for i in inputs], "attrs": attrs})
        return len(nodes) - 1

    for number, (op, parameter, attrs) in enumerate(steps):
        first = attrs.pop("parameter_first", False)
        inputs = [at] if parameter is None else [at, add("null", parameter, [])]
        at = add(op, f"step{number}", inputs[::-1] if first else inputs, **attrs)
    at = add(layer, "layer", [at, add("null", "weight", [])])
    return read_symbol(json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[at, 0, 0]]}))


def step(op, parameter=None, **attrs):
    return op, parameter, attrs


TRANSPOSE = step("transpose", axes="(0, 3, 1, 2)")


@pytest.mark.parametrize(
    "steps, channels_last, white",
    [
        ([], False, None),
        ([step("broadcast_sub", "mean"), step("broadcast_div", "std")], False, 255),
        ([step("broadcast_minus", "mean"), step("broadcast_div", "std"), TRANSPOSE], True, 255),
        ([TRANSPOSE, step("broadcast_sub", "mean")], True, 255),
        ([step("transpose", axes="[0,3,1,2]"), step("_minus_scalar", scalar="120")], True, 255),
        ([step("_MinusScalar", scalar="128.0")], False, 255),
        ([step("_plus_scalar", scalar="-128")], False, 255),
        ([step("_rminus_scalar", scalar="255")], False, 255),  # of negatives
        ([step("broadcast_sub", "mean", parameter_first=True)], False, 255),
        ([step("_div_scalar", scalar="255")], False, 255),
        ([step("_mul_scalar", scalar="0.00392")], False, 255),
        ([step("broadcast_div", "std")], False, 255),
        ([step("broadcast_mul", "inverse"), step("broadcast_sub", "unit_mean")], False, 255),
        ([step("_div_scalar", scalar="127.5"), step("_minus_scalar", scalar="1")], False, 255),
        ([step("broadcast_sub", "mean"), step("broadcast_div", "std"), step("broadcast_mul", "init_scale")], False, 255),
        ([step("_div_scalar", scalar="255"), step("broadcast_mul", "init_scale")], False, 255),
        ([step("cast", dtype="float32"), step("_div_scalar", scalar="255")], False, 255),
        ([step("broadcast_sub", "unit_mean"), step("broadcast_div", "unit_std")], False, 1),
        ([step("_mul_scalar", scalar="255"), step("broadcast_sub", "mean")], False, 1),
        ([step("_mul_scalar", scalar="2"), step("_minus_scalar", scalar="1")], False, 1),
        ([step("_image_to_tensor")], True, 255),
        (
            [step("_image_to_tensor"), step("_image_normalize", mean="(0.485, 0.456, 0.406)", std="(0.229, 0.224, 0.225)")],
            True,
            255,
        ),
        ([step("_image_normalize", mean="0.45", std="0.225")], False, 1),
        # A VGG's own scale, ones that an imported VGG has in its place, a normalization that is undone, and what settles nothing.
        ([step("broadcast_mul", "init_scale")], False, None),
        ([step("broadcast_mul", "ones")], False, None),
        ([step("broadcast_mul", "init_scale"), step("broadcast_add", "mean")], False, None),
        (
            [step("broadcast_mul", "unit_std"), step("broadcast_add", "unit_mean"), step("_minus_scalar", scalar="0.5")],
            False,
            None,
        ),
        ([step("Activation", act_type="relu"), step("broadcast_sub", "mean")], False, None),
        ([step("broadcast_sub", "gone")], False, None),
        ([step("_div_scalar", scalar="0")], False, None),
        ([step("_rdiv_scalar", scalar="255")], False, None),
        ([TRANSPOSE], True, None),
        ([step("transpose", axes="(0, 2, 3, 1)"), step("_div_scalar", scalar="255"), TRANSPOSE], False, 255),
    ],
)
def test_layout_and_range(steps, channels_last, white):
    found = input_of(graph(*[(op, parameter, dict(attrs)) for op, parameter, attrs in steps]), WEIGHTS)
    assert found == GraphInput("data", channels_last, white)


@pytest.mark.parametrize("white, expected", [
    (255.0, ((0, 0, 0), (1 / 255,) * 3)), (1.0, ((0, 0, 0), (1, 1, 1))), (None, ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))),
])  # fmt: skip
def test_what_prepares_images(white, expected):
    assert GraphInput("data", False, white).normalization((0.5,) * 3, (0.2,) * 3) == expected


MXNET_SSD = (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3


@pytest.mark.parametrize("mean, std, expected", [
    ((123, 117, 104), (1, 1, 1), MXNET_SSD),
    (*MXNET_SSD, MXNET_SSD),
    ((0, 0, 0), (1, 1, 1), ((0, 0, 0), (1 / 255,) * 3)),  # nobody scaled images to 0..1 for such a graph
    ((127.5,) * 3, (127.5,) * 3, ((0.5,) * 3, (0.5,) * 3)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
])  # fmt: skip
def test_what_prepares_images_of_a_multi_box_graph(mean, std, expected):
    found = input_of(graph(layer="_contrib_MultiBoxDetection"), WEIGHTS)
    assert found == GraphInput("data", False, None, multi_box=True) and found.needs_normalization
    assert found.normalization(mean, std) == expected


def test_a_multi_box_graph_without_mean_and_std():
    found = GraphInput("data", False, None, multi_box=True)
    for mean, std in ((None, None), ((0, 0, 0), None), (None, (1, 1, 1))):
        with pytest.raises(CallError, match="x.json: .* give mean= and std=.* mean 123,117,104 and std 1, .*mean 0 and std 1"):
            found.normalization(mean, std, "x.json")
    with pytest.raises(CallError, match=r"mean \[0.5, 0.5, 0.5\] and std \[1, 1, 1\] are of two units"):
        found.normalization((0.5,) * 3, (1, 1, 1))
    assert GraphInput("data", False, 255.0, multi_box=True).normalization(None, None) == ((0, 0, 0), (1 / 255,) * 3)
    assert GraphInput("data", False, None).normalization(None, None)[0] == (0.485, 0.456, 0.406)


def test_a_layer_that_is_read_twice_ends_the_beginning():
    symbol = graph(step("broadcast_sub", "mean"))
    nodes = [dict(op=n.op, name=n.name, inputs=[list(i) for i in n.inputs], attrs=n.attrs) for n in symbol.nodes]
    nodes.append({"op": "elemwise_add", "name": "sum", "inputs": [[len(nodes) - 1, 0], [0, 0]]})
    twice = read_symbol(json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}))
    assert input_of(twice, WEIGHTS) == GraphInput("data", False, None)


def test_the_name_of_the_input():
    assert input_of(graph(step("_div_scalar", scalar="255"), data="image"), WEIGHTS) == GraphInput("image", False, 255)
    with pytest.raises(ExportError, match=r"inputs without parameters are \['image', 'weight'\]; one, `data`, was expected"):
        input_of(graph(data="image"), {})
