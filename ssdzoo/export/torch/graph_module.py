"""The `torch.fx` module of a detector, which torch's memory formats and pickle take as they take other modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule
from torch.fx.graph_module import reduce_graph_module

from ssdzoo.export.torch.operations import sparing_anchors


class DetectorModule(GraphModule):
    """A GraphModule whose anchors, (1, 1, H, W, 4 * A), have no memory format and stay float32 at least:
    `to(memory_format=torch.channels_last)` would refuse them, and `half()` would round them."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        return super()._apply(sparing_anchors(fn), recurse)

    def __reduce__(self) -> tuple:
        return _restored, super().__reduce__()[1]


def _restored(*saved: Any) -> DetectorModule:
    """A module out of a pickle; torch would make a GraphModule of it."""
    plain = reduce_graph_module(*saved)
    assert isinstance(plain, GraphModule)
    return DetectorModule(plain, plain.graph, "DetectorModule")
