"""What a model costs: its parameters, and its multiply-accumulates for an image.

The costs of the zoo were counted once by `tools/count_costs.py` and lie in `costs.toml`, so that listing them builds no network
and needs no mxnet. Any other preset is counted on the symbol of its network.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from math import prod
from typing import Any

from ssdzoo.class_names import numbered_names
from ssdzoo.preset import Preset
from ssdzoo.toml_file import parse_toml

CUSTOM_CLASSES = 20  # of a preset that takes its classes from the user


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of values that are learned.
        macs: multiply-accumulates for one image of the base size.
    """

    parameters: int
    macs: int


def class_count(preset: Preset) -> int:
    """The number of a preset's classes, `CUSTOM_CLASSES` where it names none."""
    return len(preset.classes or range(CUSTOM_CLASSES))


def with_some_classes(preset: Preset) -> Preset:
    """The preset itself, or with `CUSTOM_CLASSES` classes where it names none."""
    return preset if preset.classes else preset.with_classes(numbered_names(CUSTOM_CLASSES))


def preset_key(preset: Preset) -> str:
    """16 hexadecimal digits of what a preset builds: equal for presets that differ in their name and the names of their classes
    alone, whether a field with its default value is written or not."""
    defaults = {f.name: f.default for f in fields(Preset)}
    built = {k: v for k, v in asdict(preset).items() if k not in ("name", "classes") and v != defaults[k]}
    text = json.dumps({**built, "classes": class_count(preset)}, sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def find_cost(preset: Preset) -> Cost:
    """The cost of a preset, for 20 classes where it names none: looked up, or else counted on the network, which takes mxnet.

    Raises:
        CallError: a preset that makes no network.
        SSDZooError: the preset is none of the zoo, and mxnet can't be imported.
    """
    return _zoo_costs().get(preset_key(preset)) or count_cost(preset)


@lru_cache(maxsize=1)
def _zoo_costs() -> dict:
    entries = parse_toml((resources.files("ssdzoo") / "costs.toml").read_text("utf-8"), "costs.toml")
    return {entry["preset"]: Cost(entry["parameters"], entry["macs"]) for entry in entries.values()}


def count_cost(preset: Preset) -> Cost:
    """The cost of a preset, counted on its network."""
    from ssdzoo.build import get_model  # mxnet, which the costs of the zoo do without

    return network_cost(get_model(with_some_classes(preset)))


def network_cost(net: Any) -> Cost:
    """The cost of an SSD at its base size, for its head outputs: without softmax, box decoding and NMS. It needs no weights."""
    from ssdzoo.runtime import mx  # which looking a cost up does without

    outputs = mx.sym.Group(list(net.head_outputs(mx.sym.var("data"))))
    constants = {n for n, p in net.collect_params().items() if isinstance(p, mx.gluon.parameter.Constant)}
    return symbol_cost(outputs, (1, 3, *net.base_size), constants)


def training_bytes(preset: Preset) -> int:
    """About how many bytes an image of a batch takes in training: what every layer gives, in float32, and its gradient.

    Args:
        preset: the model; it needs mxnet to be built.
    """
    from ssdzoo.build import get_model
    from ssdzoo.runtime import mx

    net = get_model(with_some_classes(preset))
    outputs = mx.sym.Group(list(net.head_outputs(mx.sym.var("data"))))
    shapes = _shapes(outputs, (1, 3, *net.base_size))
    arguments = {*outputs.list_arguments(), *outputs.list_auxiliary_states()}
    return 8 * sum(prod(shape) for name, shape in shapes.items() if name not in arguments)


def symbol_cost(symbol: Any, data_shape: tuple, constants: Iterable[str] = ()) -> Cost:
    """The cost of a symbol for a variable `data` of that shape.

    Parameters are all values that are learned: neither `constants`, such as anchors, nor the running means and variances of
    batch norms. Multiply-accumulates are those of convolutions, transposed convolutions and fully connected layers, without
    biases. Norms, activations and pooling are left out.
    """
    shapes = _shapes(symbol, data_shape)
    learned = set(symbol.list_arguments()) - {"data", *constants}
    nodes = json.loads(symbol.tojson())["nodes"]
    return Cost(sum(prod(shapes[name]) for name in learned), sum(_macs(node, nodes, shapes) for node in nodes))


def _shapes(symbol: Any, data_shape: tuple) -> dict[str, tuple]:
    """{name of a variable, or of a node followed by "_output": shape}."""
    internals = symbol.get_internals()
    arguments, outputs, _ = internals.infer_shape(data=data_shape)
    return {**dict(zip(internals.list_outputs(), outputs)), **dict(zip(internals.list_arguments(), arguments))}


def _macs(node: dict, nodes: list, shapes: dict) -> int:
    """Each value of a layer's output, or of a transposed convolution's input, meets one row of the weights, which holds the
    channels of its group alone."""
    if node["op"] not in ("Convolution", "Convolution_v1", "Deconvolution", "FullyConnected"):
        return 0
    source, weight = (nodes[index] for index, *_ in node["inputs"][:2])
    values = source if node["op"] == "Deconvolution" else node
    name = values["name"] if values["op"] == "null" else f"{values['name']}_output"
    return prod(shapes[name]) * prod(shapes[weight["name"]][1:])
