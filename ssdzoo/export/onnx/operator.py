"""What the translator of an operator is given, and the table of all translators."""

from dataclasses import dataclass
from typing import NamedTuple

from ssdzoo.export.onnx.builder import Builder, Value
from ssdzoo.export.translator import Call, Table

TRANSLATORS = Table()
translates = TRANSLATORS.translates


class Nms(NamedTuple):
    """The limits of the NMS.

    Attributes:
        thresh: maximum IoU of two boxes that both stay.
        topk: maximum number of candidates; -1 for all.
        valid_thresh: minimum score.
        classes: their number, or None where it is not known.
        normalized: its boxes are in normalized coordinates.
    """

    thresh: float
    topk: int
    valid_thresh: float
    classes: int | None
    normalized: bool = False


@dataclass
class Notes:
    """What translators find out about the detection, for the outputs and the metadata.

    Attributes:
        offsets: box offsets (B, N, 4).
        nms: limits of the NMS.
    """

    offsets: Value | None = None
    nms: Nms | None = None


@dataclass(frozen=True)
class OperatorCall(Call):
    """A node of a symbol, and all that its translation needs; see `Call`.

    Attributes:
        g: takes the ONNX nodes.
        values: {(node index, output number): Value} of all nodes before it.
        notes: what translators find out about the detection; they write into it.
    """

    g: Builder
    values: dict
    notes: Notes
