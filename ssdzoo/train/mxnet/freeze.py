"""Parts of the backbone that do not learn."""

import json
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.runtime import mx
from ssdzoo.train.stages import Use, stages_of


def backbone_stages(net: Any) -> list[list]:
    """Parameters of the backbone, [[Parameter]]; see `stages_of`."""
    height, width = net.base_size if isinstance(net.base_size, tuple) else (net.base_size,) * 2
    internals = mx.sym.Group(list(net.features(mx.sym.var("data")))).get_internals()
    _, shapes, _ = internals.infer_shape_partial(data=(1, 3, height, width))
    area = {name: shape[2] * shape[3] for name, shape in zip(internals.list_outputs(), shapes) if len(shape) == 4}
    parameters = {p.name: p for p in net.features.backbone_parameters.values()}
    nodes = json.loads(internals.tojson())["nodes"]
    uses = []
    for node in nodes:
        names = [nodes[i]["name"] for i, *_ in node["inputs"]]
        found = area.get(f"{node['name']}_output")
        uses += [Use(found, name, node["op"] == "Convolution") for name in names if name in parameters and found]
    return [[parameters[name] for name in stage] for stage in stages_of(uses)]


def freeze(net: Any, stages: int, norms: bool) -> set:
    """Stops the learning of the first `stages` stages, and of all batch norms of the backbone with `norms`.

    Returns:
        Names of the batch norms' gammas whose statistics must not move either: see `fixed_norms`.

    Raises:
        CallError: the backbone has fewer stages.
    """
    parts = backbone_stages(net)
    if stages > len(parts):
        raise CallError(f"freeze={stages}: this backbone has {len(parts)} stages, so 0 to {len(parts)} can be frozen")
    still = [p for part in parts[:stages] for p in part]
    fixed = [p for part in parts if norms for p in part if p.name.endswith(("_gamma", "_beta"))] + still
    for parameter in fixed:
        parameter.grad_req = "null"
    return {p.name for p in fixed if p.name.endswith("_gamma")}


def fixed_norms(net: Any, gammas: set) -> Any:
    """The network's head outputs with its own parameters, in which the batch norms of these gammas use their running statistics
    in training too."""
    graph = json.loads(mx.sym.Group(list(net.head_outputs(mx.sym.var("data")))).tojson())
    for node in graph["nodes"]:
        if node["op"] == "BatchNorm" and graph["nodes"][node["inputs"][1][0]]["name"] in gammas:
            node["attrs"]["use_global_stats"] = "True"
    symbol = mx.sym.load_json(json.dumps(graph))
    return mx.gluon.SymbolBlock(list(symbol), mx.sym.var("data", dtype="float32"), params=net.collect_params())
