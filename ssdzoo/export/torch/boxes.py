"""Anchors: MXNet's contrib operators as torch's. Decoding and NMS come after the head outputs, where a module ends."""

from torch.fx import Node

from ssdzoo.export.attributes import prior_halves
from ssdzoo.export.torch import operations
from ssdzoo.export.torch.operator import OperatorCall, translates


@translates("_contrib_MultiBoxPrior", "MultiBoxPrior")
def multi_box_prior(call: OperatorCall) -> Node:
    """Anchors (1, H * W * A, 4) of a feature map, corners in normalized coordinates."""
    steps, offsets = (
        tuple(float(n) for n in call.node.numbers(key, default))
        for key, default in (("steps", (-1, -1)), ("offsets", (0.5, 0.5)))
    )
    halves, (height, width) = prior_halves(call), call.shape[2:]
    shape = 1, height * width * len(halves), 4
    return call.g.shaped(shape, operations.box_prior, call.x, halves, steps, offsets, call.node.flag("clip"))
