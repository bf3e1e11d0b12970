"""Parameters and multiply-accumulates of models by their rows. Those of the zoo were counted once (`tools/count_costs.py`) and
lie in `costs.toml`, so that listing them builds no network and needs no mxnet."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import resources

from ssdzoo.preset import Preset, parse_toml
from ssdzoo.runtime import mxnet

CUSTOM_CLASSES = 20  # of a row that takes its classes from the user
_CONVOLUTIONS = ("Convolution", "Convolution_v1")


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of values that are learned.
        macs: multiply-accumulates of one image of the base size.
    """

    parameters: int
    macs: int


def with_some_classes(preset: Preset) -> Preset:
    """The row itself, or with `CUSTOM_CLASSES` classes where it names none."""
    return preset if preset.classes else preset.with_classes(f"class {i}" for i in range(CUSTOM_CLASSES))


def row_key(preset: Preset) -> str:
    """16 hexadecimal digits of what a row builds; its name, the names of its classes and fields with their defaults don't
    count."""
    preset = with_some_classes(preset)
    defaults = {f.name: f.default for f in fields(Preset)}
    row = {k: v for k, v in asdict(preset).items() if k not in ("name", "classes") and v != defaults[k]}
    text = json.dumps({**row, "classes": len(preset.classes)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_cost(preset: Preset) -> Cost:
    """The cost of a row, of 20 classes where it names none: looked up, or else counted on the network, which takes mxnet.

    Raises:
        CallError: a row that makes no network.
        SSDZooError: the row is none of the zoo, and mxnet can't be imported.
    """
    return _counted().get(row_key(preset)) or count_cost(preset)


def count_cost(preset: Preset) -> Cost:
    """The cost of a row, counted on its network."""
    from ssdzoo.build import get_model  # mxnet, which the costs of the zoo do without

    return network_cost(get_model(with_some_classes(preset)))


@lru_cache(maxsize=1)
def _counted() -> dict:
    rows = parse_toml((resources.files("ssdzoo") / "costs.toml").read_text("utf-8"), "costs.toml")
    return {row.pop("row"): Cost(**row) for row in rows.values()}


def network_cost(net) -> Cost:
    """The cost of an SSD at its base size, of the raw heads: without softmax, boxes and suppression. It needs no weights."""
    heads = mxnet().sym.Group(list(net.head_outputs(mxnet().sym.var("data"))))
    constants = {n for n, p in net.collect_params().items() if isinstance(p, mxnet().gluon.parameter.Constant)}
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
