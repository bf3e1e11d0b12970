"""What a network costs: its parameters, and the multiply-accumulates of one image."""

import json

from ssdzoo.costs import Cost
from ssdzoo.runtime import mxnet

mx = mxnet()

_CONVOLUTIONS = ("Convolution", "Convolution_v1")


def network_cost(net) -> Cost:
    """The cost of an SSD at its base size, of the raw heads: without softmax, boxes and suppression. It needs no weights."""
    heads = mx.sym.Group(list(net.heads(mx.sym.var("data"))))
    constants = {n for n, p in net.collect_params().items() if isinstance(p, mx.gluon.parameter.Constant)}
    return symbol_cost(heads, (1, 3, *net.base_size), constants)


def symbol_cost(symbol, data_shape: tuple, constants=()) -> Cost:
    """The cost of a symbol for a variable `data` of that shape.

    Parameters are all values that are learned: neither `constants`, such as anchors, nor the running means and variances of
    batch norms. Multiply-accumulates are those of convolutions, transposed convolutions and fully connected layers, without
    biases; norms, activations and pooling are left out.
    """
    shapes = _shapes(symbol, data_shape)
    learned = set(symbol.list_arguments()) - {"data", *constants}
    nodes = json.loads(symbol.tojson())["nodes"]
    return Cost(sum(_product(shapes[name]) for name in learned), sum(_macs(node, nodes, shapes) for node in nodes))


def _shapes(symbol, data_shape: tuple) -> dict:
    """{name of a variable, or of a node with its suffix: shape}."""
    internals = symbol.get_internals()
    arguments, outputs, _ = internals.infer_shape(data=data_shape)
    return {**dict(zip(internals.list_outputs(), outputs)), **dict(zip(internals.list_arguments(), arguments))}


def _macs(node: dict, nodes: list, shapes: dict) -> int:
    if node["op"] not in (*_CONVOLUTIONS, "Deconvolution", "FullyConnected"):
        return 0
    weight = shapes[nodes[node["inputs"][1][0]]["name"]]
    if node["op"] != "Deconvolution":
        # Each output is a sum over one row of the weights, which holds the inputs of its group alone.
        return _product(shapes[f"{node['name']}_output"]) * _product(weight[1:])
    source = nodes[node["inputs"][0][0]]
    return _product(shapes[source["name"] if source["op"] == "null" else f"{source['name']}_output"]) * _product(weight[1:])


def _product(shape) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
