"""The outputs of a file of `to_onnx`, as backends hand them on."""

from pathlib import Path

import numpy as np

from ssdzoo.errors import ExportError
from ssdzoo.formats.onnx_metadata import read_metadata
from ssdzoo.predict.backends.protocol import NoHeadOutputs


def head_names(path: str | Path) -> list[str]:
    """Names of the tensors of the class logits and the box offsets in a file of `to_onnx`.

    Raises:
        NoHeadOutputs: its metadata do not name them.
    """
    names = read_metadata(path)["heads"]
    if not names:
        raise NoHeadOutputs(f"the metadata of {path} do not name its head outputs")
    return names


def detections_of(outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a Detector takes: class ids (B, K, 1), scores (B, K, 1), boxes (B, K, 4).

    Raises:
        ExportError: the outputs don't fit each other.
    """
    shapes = {name: outputs[name].shape for name in ("class_ids", "scores", "boxes")}
    if shapes["class_ids"] != shapes["scores"] or shapes["boxes"] != (*shapes["scores"], 4):
        raise ExportError(f"the outputs of the ONNX model don't fit each other: {shapes}; export the model again")
    return outputs["class_ids"][..., None], outputs["scores"][..., None], outputs["boxes"]


def first_line(error: Exception) -> str:
    """The first line of a runtime's error that says something, or else its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
