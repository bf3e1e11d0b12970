"""Parts of the backbone that do not learn."""

import re
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.passes.shape_prop import ShapeProp

from ssdzoo.errors import CallError
from ssdzoo.export.torch.operations import BatchNorm
from ssdzoo.train.stages import Use, stages_of

# Names of what ssdzoo and GluonCV put behind a backbone.
_OTHERS = re.compile(r"expand_|extras?\d*[._]|[._]norm4[._]|normalize|init_scale|lateral|smooth|predictor|anchor")


def is_backbone(name: str) -> bool:
    """Whether a parameter of this name belongs to a backbone."""
    return not _OTHERS.search(name)


def backbone_stages(module: GraphModule, size: tuple[int, int]) -> list[list[str]]:
    """Names of the parameters of the backbone; see `stages_of`. Batch norms without a learned scale have a shift at least.

    Args:
        module: of `ssdzoo.export.to_torch`.
        size: (H, W) of its input.
    """
    training = module.training
    with torch.no_grad():
        ShapeProp(module.eval()).propagate(torch.zeros(1, 3, *size))
    module.train(training)
    uses = []
    for node in module.graph.nodes:
        shape: Any = getattr(node.meta.pop("tensor_meta", None), "shape", ())
        if node.op in ("call_function", "call_module") and len(shape) == 4:
            convolves = "conv" in getattr(node.target, "__name__", "")
            uses += [Use(shape[2] * shape[3], name, convolves) for name in _parameters(node) if is_backbone(name)]
    learned = dict(module.named_parameters())
    return [[name for name in stage if name in learned] for stage in stages_of(uses)]


def _parameters(node: Node) -> list[str]:
    """Names of the parameters and buffers that a node uses."""
    return [str(used.target) for used in node.all_input_nodes if used.op == "get_attr"]


def freeze(module: GraphModule, size: tuple[int, int], stages: int, norms: bool) -> None:
    """Stops the learning of the first `stages` stages, and of all batch norms of the backbone with `norms`. The statistics of
    these norms stay too.

    Args:
        size: (H, W) of the input.

    Raises:
        CallError: the backbone has fewer stages.
    """
    parts = backbone_stages(module, size)
    if stages > len(parts):
        raise CallError(f"freeze={stages}: this backbone has {len(parts)} stages, so 0 to {len(parts)} can be frozen")
    still = {name for part in parts[:stages] for name in part}
    backbone = {name for part in parts for name in part}
    for node in module.graph.nodes:
        norm = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        names = _parameters(node)
        if isinstance(norm, BatchNorm) and (backbone if norms else still) & set(names):
            norm.frozen = True
            still |= set(names)
    for name, parameter in module.named_parameters():
        if name in still:
            parameter.requires_grad_(False)
