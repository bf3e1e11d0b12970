"""What the translator of an operator is given, and the table of all translators."""

from dataclasses import dataclass
from typing import Any

from torch.fx import Node

from ssdzoo.export.torch.builder import Builder, shape_of
from ssdzoo.export.translator import Call, Table

TRANSLATORS = Table()
translates = TRANSLATORS.translates


@dataclass(frozen=True)
class OperatorCall(Call):
    """A node of a symbol, and all that its translation needs; see `Call`.

    Attributes:
        g: takes the nodes of the module.
        image: the module's input (B, 3, H, W).
        values: {(node index, output number): value} of all nodes before it.
    """

    g: Builder
    image: Node
    values: dict

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first input, for the images that the module is built with; sizes of axes may be others when it runs."""
        return shape_of(self.x)

    @property
    def rank(self) -> int:
        """Number of axes of the first input."""
        return len(self.shape)

    def shown(self, value: Any) -> str:
        return str(list(shape_of(value))) if isinstance(value, Node) else str(value)
